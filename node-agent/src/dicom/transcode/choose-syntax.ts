import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, RLE, isKnownTransferSyntax, transferSyntax } from '../transfer-syntax.ts'
import { isDecodable } from '../render/decode.ts'

/** What is sent to somebody who does not take the stored syntax, best first: without loss only, and cheap to make and to read. */
export const losslessTargets: readonly string[] = [
  EXPLICIT_LE,
  IMPLICIT_LE,
  '1.2.840.10008.1.2.4.80',
  '1.2.840.10008.1.2.4.70',
  '1.2.840.10008.1.2.4.201',
  '1.2.840.10008.1.2.4.90',
  RLE,
  '1.2.840.10008.1.2.4.57',
  DEFLATED_LE,
  EXPLICIT_BE,
]

/** Made only for those who ask for it by name: pixels are lost. */
export const lossyTargets: readonly string[] = ['1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.81', '1.2.840.10008.1.2.4.91']

/** What the lossy syntaxes do to pixels, as (0028,2114) names it. JPEG-LS and JPEG 2000 may also have lost nothing. */
export const lossMethods: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.4.50': 'ISO_10918_1',
  '1.2.840.10008.1.2.4.51': 'ISO_10918_1',
  '1.2.840.10008.1.2.4.53': 'ISO_10918_1',
  '1.2.840.10008.1.2.4.55': 'ISO_10918_1',
  '1.2.840.10008.1.2.4.81': 'ISO_14495_1',
  '1.2.840.10008.1.2.4.91': 'ISO_15444_1',
}

/** Whether the pixels of a syntax can be taken out of it; of video and of JPEG 2000 part 2 they cannot. */
export const canBeTranscoded = (transferSyntaxUid: string): boolean =>
  isKnownTransferSyntax(transferSyntaxUid) && isDecodable(transferSyntaxUid, transferSyntax(transferSyntaxUid).encapsulated)

/**
 * Chooses how an instance goes to somebody: as stored where that is taken, otherwise the first of `losslessTargets` that is.
 *
 * @param acceptable transfer syntax UIDs the peer takes; their order means nothing (PS3.8 9.3.3.2: the acceptor chooses).
 * @returns undefined when the instance cannot be given to this peer without loss; no lossy syntax is ever chosen here.
 */
export function chooseSyntax(storedTransferSyntaxUid: string, acceptable: readonly string[]): string | undefined {
  if (acceptable.includes(storedTransferSyntaxUid)) return storedTransferSyntaxUid
  if (!canBeTranscoded(storedTransferSyntaxUid)) return undefined
  return losslessTargets.find((uid) => acceptable.includes(uid))
}
