import { Buffer } from 'node:buffer'
import { EnvelopeHeader, EnvelopeText, Problem, type PartyId } from 'specs'

/**
 * Who can open sealed content, as its header says. The hub cannot open it and does not have to: it only sees to it that
 * content reaches those it was sealed for, and that a task does not start whose processor could never read the question.
 *
 * @param sealed JSON text of an envelope/v1.
 * @throws {Problem} envelope/malformed
 */
export function sealedAudience(sealed: string): readonly PartyId[] {
  const envelope = EnvelopeText.safeParse(parseJson(sealed))
  if (!envelope.success) throw new Problem('envelope/malformed', { what: 'sealed content' })
  const header = EnvelopeHeader.safeParse(parseJson(Buffer.from(envelope.data.header, 'base64').toString('utf8')))
  if (!header.success) throw new Problem('envelope/malformed', { what: 'header of sealed content' })
  return header.data.audience
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Problem('envelope/malformed', { what: 'sealed content' }, { cause })
  }
}
