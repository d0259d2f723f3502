import { Buffer } from 'node:buffer'
import type { EpochMs } from 'specs'
import { decodePem, encodePem } from '../der/pem.ts'
import { malformed, readWhole, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readSmallInteger, readTime } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { type Authority, openAuthority } from './authority.ts'
import { readSerial } from './certificate.ts'
import {
  authorityKeyIdExtension,
  crlNumberExtension,
  readAuthorityKeyId,
  readExtensions,
  readReason,
  reasonExtensions,
  type RevocationReason,
} from './extensions.ts'
import { readName, type ReadName } from './name.ts'
import { enterTbs, readSigned, readSignatureAlgorithm, signatureAlgorithm, type SignedStructure, writeSigned } from './signed.ts'

/** A certificate revocation list (RFC 5280 5, v2). Parsed is not yet trusted: see TrustStore.setCrl. */
export interface RevocationList {
  readonly pem: string
  readonly issuer: ReadName
  readonly authorityKeyId: string
  readonly number: number
  readonly thisUpdate: EpochMs
  readonly nextUpdate: EpochMs
  /** Serial (hex) → since when. */
  readonly revoked: ReadonlyMap<string, EpochMs>
  /** Serial (hex) → why. */
  readonly reasons: ReadonlyMap<string, RevocationReason>
  readonly signed: SignedStructure
}

/** About sixty thousand revoked certificates. */
export const CRL_MAX_BYTES = 4 * 1024 * 1024

export interface RevokedEntry {
  readonly serial: string
  readonly at: EpochMs
  readonly reason?: RevocationReason
}

/** @param list `number` must grow with every list; `nextUpdateMs` is the epoch ms by which a newer one is out. */
export function issueCrl(
  ca: Authority,
  list: { revoked: readonly RevokedEntry[]; number: number; nextUpdateMs: EpochMs; now?: EpochMs },
): string {
  const { certificate, key } = openAuthority(ca)
  const entries = list.revoked.map(({ serial, at, reason = 'unspecified' }) =>
    der.sequence(der.unsigned(Buffer.from(serial, 'hex')), der.time(at), ...reasonExtensions(reason)),
  )
  const extensions = der.sequence(authorityKeyIdExtension(Buffer.from(certificate.subjectKeyId, 'hex')), crlNumberExtension(list.number))
  const tbs = der.sequence(
    der.smallInteger(1),
    signatureAlgorithm(),
    Buffer.from(certificate.subject.derHex, 'hex'),
    der.time(list.now ?? Date.now()),
    der.time(list.nextUpdateMs),
    ...(entries.length > 0 ? [der.sequence(...entries)] : []), // absent when there are none: RFC 5280 5.1.2.6
    der.explicit(0, extensions),
  )
  return encodePem('X509 CRL', writeSigned(tbs, key))
}

/** @throws {Problem} certificate/invalid for anything but one strictly encoded v2 list with crlNumber and nextUpdate. */
export function parseCrl(pem: string): RevocationList {
  const bytes = decodePem('X509 CRL', pem, CRL_MAX_BYTES)
  const signed = readSigned(bytes, 'CRL', CRL_MAX_BYTES)
  const tbs = enterTbs(signed, 'CRL')
  if (readSmallInteger(tbs, 'CRL version') !== 1) throw malformed('CRL version')
  readSignatureAlgorithm(tbs)
  const issuer = readName(tbs, 'CRL issuer')
  const thisUpdate = readTime(tbs, 'thisUpdate')
  const nextUpdate = readTime(tbs, 'nextUpdate')
  const revoked = new Map<string, EpochMs>()
  const reasons = new Map<string, RevocationReason>()
  const entries = tbs.enterOptional(Tag.sequence, 'revoked certificates')
  while (entries && !entries.done) {
    const entry = entries.enter(Tag.sequence, 'revoked certificate')
    const serial = readSerial(entry)
    revoked.set(serial, readTime(entry, 'revocation date'))
    const about = entry.done ? undefined : readExtensions(entry, [oids.reasonCode, oids.invalidityDate])
    reasons.set(serial, readReason(about?.get(oids.reasonCode)))
    entry.finish('revoked certificate')
  }
  const wrapper = tbs.enter(Tag.contextConstructed(0), 'CRL extensions')
  const extensions = readExtensions(wrapper, [oids.crlNumber, oids.authorityKeyIdentifier])
  wrapper.finish('CRL extensions')
  tbs.finish('CRL')
  const numberValue = extensions.get(oids.crlNumber)
  if (!numberValue) throw malformed('crlNumber')
  const number = readWhole(numberValue, 'crlNumber', (reader) => readSmallInteger(reader, 'crlNumber'))
  const authorityKeyId = readAuthorityKeyId(extensions.get(oids.authorityKeyIdentifier))
  return { pem: encodePem('X509 CRL', bytes), issuer, authorityKeyId, number, thisUpdate, nextUpdate, revoked, reasons, signed }
}
