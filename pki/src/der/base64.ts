import { Buffer } from 'node:buffer'

/**
 * Base64 in its one canonical form (RFC 4648 4 with padding, no line breaks), or undefined. Node's decoder skips what
 * it does not know, so the text is compared with what we would have written.
 */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}
