import { Buffer } from 'node:buffer'
import { ENVELOPE_MAX_BYTES, EnvelopeHeader, type EnvelopeText, Problem } from 'specs'
import { decodeBase64 } from '../der/base64.ts'

export interface ParsedEnvelope {
  readonly header: EnvelopeHeader
  /** As received: what MAC and signature cover. */
  readonly headerBytes: Uint8Array
  /** 16 bytes, from the header. */
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly mac: Uint8Array
  readonly signature: Uint8Array
}

/** Bytes of header we are ready to parse before knowing the sender: 500 recipients fit. */
const HEADER_MAX_BYTES = 512 * 1024
const SIGNATURE_MAX_BYTES = 80

const malformed = (what: string): Problem => new Problem('envelope/malformed', { what })

/**
 * Reads the text of specs/envelope/v1. Base64 must be canonical; its zod schema would run a regular expression over
 * megabytes, so the four members are decoded and compared instead.
 *
 * @throws {Problem} envelope/malformed; names the part, never its content.
 */
export function parseEnvelope(text: string | Uint8Array): ParsedEnvelope {
  if (text.length > ENVELOPE_MAX_BYTES) throw malformed('too large')
  const members = parseJson(typeof text === 'string' ? text : Buffer.from(text).toString('utf8'), 'text')
  const headerBytes = readMember(members, 'header')
  const ciphertext = readMember(members, 'ciphertext')
  const mac = readMember(members, 'mac')
  const signature = readMember(members, 'signature')
  if (Object.keys(members).length !== 4) throw malformed('unknown member')
  if (mac.length !== 32) throw malformed('mac')
  if (signature.length > SIGNATURE_MAX_BYTES) throw malformed('signature')
  const header = parseHeader(headerBytes)
  const iv = decodeBase64(header.iv)
  if (iv?.length !== 16) throw malformed('header.iv')
  return { header, headerBytes, iv, ciphertext, mac, signature }
}

function parseHeader(bytes: Buffer): EnvelopeHeader {
  if (bytes.length > HEADER_MAX_BYTES) throw malformed('header')
  const header = EnvelopeHeader.safeParse(parseJson(bytes.toString('utf8'), 'header'))
  if (header.success) return header.data
  throw malformed(`header.${header.error.issues[0]?.path.map(String).join('.') ?? ''}`)
}

function parseJson(text: string, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed(what) // the parser's message would quote the text
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(what)
  return value as Record<string, unknown>
}

function readMember(members: Record<string, unknown>, name: keyof EnvelopeText): Buffer {
  const value = members[name]
  const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
  if (!bytes) throw malformed(name)
  return bytes
}
