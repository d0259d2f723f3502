import { Buffer } from 'node:buffer'
import { oids } from '../der/oids.ts'
import { type DerReader, malformed, readWhole, Tag } from '../der/reader.ts'
import { readBoolean, readOid, readSmallInteger, readUnsigned } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { randomBytes } from '../sm4/sm4.ts'

/** What a time stamp is over: the SM3 of something (RFC 3161 2.4.1). */
export interface TimeStampRequest {
  /** 32 bytes. */
  readonly imprint: Uint8Array
  /** Hex; the answer repeats it, so that an old answer cannot serve. */
  readonly nonce: string | undefined
  /** Whether the answer shall hold the certificates of the authority. */
  readonly wantsCertificates: boolean
}

const sm3Algorithm = (): Uint8Array => der.sequence(der.oid(oids.sm3))

/** MessageImprint with SM3. */
export const encodeImprint = (digest: Uint8Array): Uint8Array => der.sequence(sm3Algorithm(), der.octetString(digest))

/** @returns DER of TimeStampReq, and the nonce to expect. */
export function createTimeStampRequest(digest: Uint8Array): { request: Uint8Array; nonce: string } {
  const nonce = Uint8Array.from(randomBytes(12))
  nonce[0] = 0x40 | (nonce[0]! & 0x3f)
  const request = der.sequence(der.smallInteger(1), encodeImprint(digest), der.unsigned(nonce), der.boolean(true))
  return { request, nonce: Buffer.from(nonce).toString('hex') }
}

export function readSm3Algorithm(reader: DerReader, what: string): void {
  const algorithm = reader.enter(Tag.sequence, what)
  if (readOid(algorithm, what) !== oids.sm3) throw malformed(`${what} is not SM3`)
  if (!algorithm.done) algorithm.content(Tag.null, what)
  algorithm.finish(what)
}

export function readImprint(reader: DerReader): Uint8Array {
  const inner = reader.enter(Tag.sequence, 'message imprint')
  readSm3Algorithm(inner, 'message imprint')
  const digest = inner.content(Tag.octetString, 'message imprint')
  inner.finish('message imprint')
  if (digest.length !== 32) throw malformed('message imprint')
  return digest
}

export const readNonce = (reader: DerReader): string | undefined =>
  reader.peek() === Tag.integer ? Buffer.from(readUnsigned(reader, 'nonce', 32)).toString('hex') : undefined

/** @throws {Problem} certificate/invalid for anything but a request with an SM3 digest; extensions are refused (RFC 3161 2.4.1). */
export function parseTimeStampRequest(bytes: Uint8Array): TimeStampRequest {
  return readWhole(bytes, 'time stamp request', (reader) => {
    const request = reader.enter(Tag.sequence, 'time stamp request')
    if (readSmallInteger(request, 'version') !== 1) throw malformed('version')
    const imprint = readImprint(request)
    if (request.peek() === Tag.oid) readOid(request, 'policy')
    const nonce = readNonce(request)
    const wantsCertificates = request.peek() === Tag.boolean && readBoolean(request, 'certReq')
    request.finish('time stamp request')
    return { imprint, nonce, wantsCertificates }
  })
}
