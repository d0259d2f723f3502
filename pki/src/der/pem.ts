import { decodeBase64, encodeBase64 } from './base64.ts'
import { DER_MAX_BYTES, malformed } from './reader.ts'

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'X509 CRL' | 'PRIVATE KEY' | 'ENCRYPTED PRIVATE KEY' | 'PUBLIC KEY'

/** RFC 7468: 64 characters a line, a line break at the end. */
export function encodePem(label: PemLabel, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** One block and nothing but white space around it. @throws {Problem} certificate/invalid */
export function decodePem(label: PemLabel, text: string, maxBytes = DER_MAX_BYTES): Uint8Array {
  const begin = `-----BEGIN ${label}-----`
  const end = `-----END ${label}-----`
  if (text.length > maxBytes * 2) throw malformed(label)
  const trimmed = text.trim()
  if (!trimmed.startsWith(begin) || !trimmed.endsWith(end) || trimmed.length < begin.length + end.length) throw malformed(label)
  const der = decodeBase64(trimmed.slice(begin.length, -end.length).replaceAll(/[\r\n\t ]/g, ''))
  if (der === undefined || der.length === 0) throw malformed(label)
  return der
}

/** Splits a file of several blocks into single PEM texts, in order; text between blocks is dropped, as openssl does. */
export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN ([A-Z0-9 ]{1,40})-----[A-Za-z0-9+/=\s]*-----END \1-----\n?/g) ?? []
}
