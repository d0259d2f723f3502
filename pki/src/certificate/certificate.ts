import { Buffer } from 'node:buffer'
import { type EpochMs, PartyId, Problem, type RegionId, type Sm3Hex } from 'specs'
import { decodePem, encodePem } from '../der/pem.ts'
import { type DerReader, malformed, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readSmallInteger, readTime, readUnsigned } from '../der/values.ts'
import { readPublicKeyInfo } from '../sm2/key-encoding.ts'
import { Sm2PublicKey } from '../sm2/keys.ts'
import { sm3Hex } from '../sm3/sm3.ts'
import { type Extensions, readCertificateExtensions } from './extensions.ts'
import { readName, type ReadName } from './name.ts'
import { enterTbs, readSigned, readSignatureAlgorithm, type SignedStructure } from './signed.ts'

/** An X.509 certificate of a party or a CA (GM/T 0015, GB/T 20518). Parsed is not yet trusted: see TrustStore. */
export interface Certificate extends Extensions {
  readonly pem: string
  /** Lower-case hex without leading zero octets. */
  readonly serial: string
  readonly subject: ReadName
  readonly issuer: ReadName
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  readonly publicKey: Sm2PublicKey
  /** SM3 of the whole DER. */
  readonly fingerprintSm3: Sm3Hex
  readonly kind: CertificateKind
  /** Who may speak with this key: the CN. @throws {Problem} certificate/invalid when it names none, as that of a CA or a person. */
  readonly party: PartyId
  /** Whom a person's certificate names; undefined for every other. */
  readonly person: CertifiedPerson | undefined
  readonly signed: SignedStructure
}

/** Only a party's certificate opens envelopes and signs grants: a person's, whatever the person is called, names nobody's hospital. */
export type CertificateKind = 'authority' | 'party' | 'person' | 'time-stamp' | 'service'

export interface CertifiedPerson {
  readonly userId: string
  readonly hospitalId: PartyId
  readonly name: string
  readonly title: string
  readonly organisation: string
}

/** GM/T 0015 5.2.4.2: at most 20 octets. */
const SERIAL_MAX_BYTES = 20

export function readSerial(reader: DerReader): string {
  return Buffer.from(readUnsigned(reader, 'serial number', SERIAL_MAX_BYTES)).toString('hex')
}

/** @throws {Problem} certificate/invalid for anything but one strictly encoded v3 certificate with an SM2 key. */
export function parseCertificate(pem: string): Certificate {
  const bytes = decodePem('CERTIFICATE', pem)
  const signed = readSigned(bytes, 'certificate')
  const tbs = enterTbs(signed, 'certificate')
  const version = tbs.enter(Tag.contextConstructed(0), 'version')
  if (readSmallInteger(version, 'version') !== 2) throw malformed('version')
  version.finish('version')
  const serial = readSerial(tbs)
  readSignatureAlgorithm(tbs)
  const issuer = readName(tbs, 'issuer')
  const { notBefore, notAfter } = readValidity(tbs)
  const subject = readName(tbs, 'subject')
  const publicKey = new Sm2PublicKey(readPublicKeyInfo(tbs))
  const wrapper = tbs.enter(Tag.contextConstructed(3), 'extensions')
  const extensions = readCertificateExtensions(wrapper)
  wrapper.finish('extensions')
  tbs.finish('certificate')
  const kind = kindOf(extensions, subject)
  return {
    ...extensions,
    kind,
    person: kind === 'person' ? personOf(subject) : undefined,
    pem: encodePem('CERTIFICATE', bytes),
    serial,
    subject,
    issuer,
    notBefore,
    notAfter,
    publicKey,
    fingerprintSm3: sm3Hex(bytes),
    signed,
    get party() {
      if (kind !== 'party') throw new Problem('certificate/invalid', { reason: 'not the certificate of a party', kind })
      return partyOf(subject.cn)
    },
  }
}

function kindOf({ isCa, extendedKeyUsage }: Extensions, subject: ReadName): CertificateKind {
  if (isCa) return 'authority'
  if (subject.uid !== '') return 'person'
  if (extendedKeyUsage.includes(oids.timeStamping)) return 'time-stamp'
  return extendedKeyUsage.length > 0 ? 'service' : 'party'
}

function personOf({ uid, cn, title, o }: ReadName): CertifiedPerson {
  const at = uid.lastIndexOf('@')
  const hospitalId = PartyId.safeParse(uid.slice(at + 1))
  if (at < 1 || !hospitalId.success)
    throw new Problem('certificate/invalid', { reason: 'the user identifier names no person of a hospital' })
  return { userId: uid.slice(0, at), hospitalId: hospitalId.data, name: cn, title, organisation: o }
}

function readValidity(tbs: DerReader): { notBefore: EpochMs; notAfter: EpochMs } {
  const validity = tbs.enter(Tag.sequence, 'validity')
  const notBefore = readTime(validity, 'notBefore')
  const notAfter = readTime(validity, 'notAfter')
  validity.finish('validity')
  if (notAfter < notBefore) throw malformed('validity')
  return { notBefore, notAfter }
}

export function partyOf(commonName: string): PartyId {
  const party = PartyId.safeParse(commonName)
  if (!party.success) throw new Problem('certificate/invalid', { reason: 'the common name is not a party of a region' })
  return party.data
}

/** The region a certificate belongs to, '' for a root. */
export function regionOf(certificate: Certificate): RegionId | '' {
  return certificate.subject.ou as RegionId | ''
}
