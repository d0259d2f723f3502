import { Buffer } from 'node:buffer'
import { type EpochMs, isProblem, Problem } from 'specs'
import { type Certificate, readSerial } from '../certificate/certificate.ts'
import { readSignatureAlgorithm } from '../certificate/signed.ts'
import type { TrustStore } from '../certificate/trust-store.ts'
import { encodePem } from '../der/pem.ts'
import { oids } from '../der/oids.ts'
import { DerReader, malformed, readWhole, Tag } from '../der/reader.ts'
import { readOid, readSmallInteger } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { sm2Verify } from '../sm2/signature.ts'
import { sm3 } from '../sm3/sm3.ts'
import { readImprint, readNonce, readSm3Algorithm } from './request.ts'

/** A time stamp token as it stands, not yet believed: see verifyTimeStamp. */
export interface TimeStampToken {
  /** DER of the ContentInfo. */
  readonly bytes: Uint8Array
  readonly imprint: Uint8Array
  readonly at: EpochMs
  readonly nonce: string | undefined
  /** PEM, as the token carries them; empty when it was asked for without. */
  readonly certificates: readonly string[]
  /** What the signature covers: DER of the SET OF signed attributes. */
  readonly signedAttributes: Uint8Array
  readonly signature: Uint8Array
  readonly info: Uint8Array
  readonly messageDigest: Uint8Array
  /** SM3 of the certificate that signed. */
  readonly signerSm3: string
  readonly signerSerial: string
}

const what = 'time stamp'
const invalid = (reason: string, cause?: unknown) => new Problem('time-stamp/invalid', { reason }, { cause })

/** The token of a granted answer. @throws {Problem} time-stamp/invalid */
export function tokenOfResponse(responseDer: Uint8Array): TimeStampToken {
  return strictly(() =>
    readWhole(responseDer, what, (reader) => {
      const response = reader.enter(Tag.sequence, what)
      const status = response.enter(Tag.sequence, 'status')
      if (readSmallInteger(status, 'status') > 1) throw invalid('not granted')
      const token = response.element(Tag.sequence, what)
      response.finish(what)
      return parseTimeStampToken(token)
    }),
  )
}

/** @param bytes DER of the ContentInfo (RFC 3161 2.4.2). @throws {Problem} time-stamp/invalid for anything but one signer with SM2 and SM3. */
export function parseTimeStampToken(bytes: Uint8Array): TimeStampToken {
  return strictly(() =>
    readWhole(bytes, what, (reader) => {
      const outer = reader.enter(Tag.sequence, what)
      expectOid(outer, oids.signedData)
      const wrapper = outer.enter(Tag.contextConstructed(0), what)
      const signed = wrapper.enter(Tag.sequence, what)
      outer.finish(what)
      wrapper.finish(what)
      readSmallInteger(signed, 'version')
      const algorithms = signed.enter(Tag.set, 'digest algorithms')
      readSm3Algorithm(algorithms, 'digest algorithm')
      const content = signed.enter(Tag.sequence, 'content')
      expectOid(content, oids.tstInfo)
      const holder = content.enter(Tag.contextConstructed(0), 'content')
      const info = holder.content(Tag.octetString, 'content')
      const certificates = readCertificates(signed)
      const signers = signed.enter(Tag.set, 'signers')
      signed.finish(what)
      const signer = readSigner(signers)
      signers.finish('signers')
      return { bytes, info, certificates, ...readInfo(info), ...signer }
    }),
  )
}

/**
 * Whether the token is genuine and over this digest.
 *
 * @param digest SM3 of what was stamped. @param chain of the authority, where the token carries none.
 * @returns the moment the authority vouches for, epoch ms, and its certificate.
 * @throws {Problem} time-stamp/invalid with the reason.
 */
export function verifyTimeStamp(
  trust: TrustStore,
  token: TimeStampToken,
  digest: Uint8Array,
  chain: readonly string[] = token.certificates,
): { at: EpochMs; certificate: Certificate } {
  if (Buffer.compare(token.imprint, digest) !== 0) throw invalid('imprint of something else')
  if (Buffer.compare(token.messageDigest, sm3(token.info)) !== 0) throw invalid('message digest')
  let certificate: Certificate
  try {
    certificate = trust.verifyChain(chain, token.at, { historical: true })
  } catch (error) {
    throw isProblem(error) ? invalid(error.code, error) : error
  }
  if (certificate.kind !== 'time-stamp') throw invalid('not a time stamp authority')
  if (certificate.fingerprintSm3 !== token.signerSm3 || certificate.serial !== token.signerSerial) throw invalid('signing certificate')
  if (!sm2Verify(certificate.publicKey, token.signedAttributes, token.signature)) throw invalid('signature')
  return { at: token.at, certificate }
}

function readInfo(bytes: Uint8Array): Pick<TimeStampToken, 'imprint' | 'at' | 'nonce'> {
  return readWhole(bytes, what, (reader) => {
    const info = reader.enter(Tag.sequence, what)
    if (readSmallInteger(info, 'version') !== 1) throw malformed('version')
    info.content(Tag.oid, 'policy')
    const imprint = readImprint(info)
    readSerial(info)
    const at = readGeneralizedTime(info)
    if (info.peek() === Tag.sequence) info.content(Tag.sequence, 'accuracy')
    if (info.peek() === Tag.boolean) info.content(Tag.boolean, 'ordering')
    const nonce = readNonce(info)
    if (info.peek() === Tag.contextConstructed(0)) info.content(Tag.contextConstructed(0), 'tsa')
    info.finish(what)
    return { imprint, at, nonce }
  })
}

function readCertificates(signed: DerReader): string[] {
  const list = signed.enterOptional(Tag.contextConstructed(0), 'certificates')
  const found: string[] = []
  while (list && !list.done && found.length < 8) found.push(encodePem('CERTIFICATE', list.element(Tag.sequence, 'certificate')))
  list?.finish('certificates')
  return found
}

function readSigner(
  signers: DerReader,
): Pick<TimeStampToken, 'signedAttributes' | 'signature' | 'messageDigest' | 'signerSm3' | 'signerSerial'> {
  const signer = signers.enter(Tag.sequence, 'signer')
  readSmallInteger(signer, 'version')
  const named = signer.enter(Tag.sequence, 'signer')
  named.element(Tag.sequence, 'issuer')
  const signerSerial = readSerial(named)
  named.finish('signer')
  readSm3Algorithm(signer, 'digest algorithm')
  const content = signer.content(Tag.contextConstructed(0), 'signed attributes')
  readSignatureAlgorithm(signer)
  const signature = signer.content(Tag.octetString, 'signature')
  signer.finish('signer')
  return { signerSerial, signature, signedAttributes: der.element(Tag.set, content), ...readAttributes(content) }
}

function readAttributes(content: Uint8Array): { messageDigest: Uint8Array; signerSm3: string } {
  const values = new Map<string, Uint8Array>()
  const list = new DerReader(content)
  while (!list.done) {
    const entry = list.enter(Tag.sequence, 'attribute')
    const type = readOid(entry, 'attribute')
    const value = entry.content(Tag.set, 'attribute')
    entry.finish('attribute')
    if (values.has(type)) throw malformed('repeated attribute')
    values.set(type, value)
  }
  const valueOf = (type: string) => {
    const value = values.get(type)
    if (!value) throw malformed(`attribute ${type} is missing`)
    return new DerReader(value)
  }
  expectOid(valueOf(oids.contentType), oids.tstInfo)
  const messageDigest = valueOf(oids.messageDigest).content(Tag.octetString, 'message digest')
  const id = valueOf(oids.signingCertificateV2).enter(Tag.sequence, what).enter(Tag.sequence, what).enter(Tag.sequence, what)
  readSm3Algorithm(id, 'signing certificate')
  return { messageDigest, signerSm3: Buffer.from(id.content(Tag.octetString, 'signing certificate')).toString('hex') }
}

/** Seconds with an optional fraction, in UTC (RFC 3161 2.4.2). */
function readGeneralizedTime(reader: DerReader): EpochMs {
  const text = Buffer.from(reader.content(Tag.generalizedTime, 'genTime')).toString('latin1')
  const parts = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{1,9}))?Z$/.exec(text)
  if (!parts) throw malformed('genTime')
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [number, number, number, number, number, number]
  return Date.UTC(year, month - 1, day, hour, minute, second) + Math.trunc(Number(`0.${parts[7] ?? '0'}`) * 1_000)
}

function expectOid(reader: DerReader, wanted: string): void {
  if (readOid(reader, what) !== wanted) throw malformed('not a time stamp token')
}

/** Whatever is wrong with the form is wrong with the time stamp. */
function strictly<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw isProblem(error) && error.code === 'certificate/invalid' ? invalid('malformed', error) : error
  }
}
