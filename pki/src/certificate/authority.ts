import { Buffer } from 'node:buffer'
import { type EpochMs, PartyId, parseWith, Problem, RegionId } from 'specs'
import { encodePem } from '../der/pem.ts'
import * as der from '../der/writer.ts'
import { encodePublicKeyInfo } from '../sm2/key-encoding.ts'
import { generateSm2KeyPair, loadPrivateKey, loadPublicKey, type Sm2PrivateKey, type Sm2PublicKey } from '../sm2/keys.ts'
import { randomBytes } from '../sm4/sm4.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { encodeCertificateExtensions, keyIdOf, type Profile } from './extensions.ts'
import { type DistinguishedName, encodeName } from './name.ts'
import { parseCsr, readRequest } from './request.ts'
import { signatureAlgorithm, writeSigned } from './signed.ts'

/** A certificate authority as it is stored. */
export interface Authority {
  readonly certificatePem: string
  readonly privateKeyPem: string
  readonly passphrase?: string
}

export interface IssuingAuthority {
  readonly certificate: Certificate
  readonly key: Sm2PrivateKey
}

const DAY_MS = 86_400_000
/** A new certificate must already hold on machines whose clock is behind. */
const BACKDATE_MS = 3_600_000

/** Reads an authority and refuses one that could not issue anything valid. */
export function openAuthority(authority: Authority): IssuingAuthority {
  const certificate = parseCertificate(authority.certificatePem)
  const key = loadPrivateKey(authority.privateKeyPem, authority.passphrase)
  if (!key.publicKey.equals(certificate.publicKey)) throw new Problem('certificate/invalid', { reason: 'key and certificate differ' })
  if (!certificate.isCa) throw new Problem('certificate/invalid', { reason: 'not a certificate authority' })
  return { certificate, key }
}

/** @returns a self-signed root with a new key. One intermediate authority may stand below it. */
export function createRootCa(root: { name: string; days: number; now?: EpochMs }): { certificatePem: string; privateKeyPem: string } {
  const { privateKeyPem } = generateSm2KeyPair()
  const key = loadPrivateKey(privateKeyPem)
  const name = encodeName({ cn: root.name, o: root.name, ou: '', c: 'CN' })
  const window = validity(root.days, root.now)
  const subjectKey = key.publicKey
  const certificatePem = writeCertificate(key, {
    issuer: name,
    subject: name,
    subjectKey,
    issuerKeyId: keyIdOf(subjectKey),
    ...window,
    ca: { pathLen: 1 },
  })
  return { certificatePem, privateKeyPem }
}

/** @returns the authority of one region: its organisational unit is the region, and it issues for that region only. */
export function createIntermediateCa(
  root: Authority,
  region: { name: string; regionId: RegionId; days: number; now?: EpochMs },
): { certificatePem: string; privateKeyPem: string } {
  const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
  const subject = { cn: region.name, o: region.name, ou: parseWith(RegionId, region.regionId, 'regionId'), c: 'CN' }
  const issuer = openAuthority(root)
  const certificatePem = issue(issuer, {
    subject,
    subjectKey: loadPublicKey(publicKeyPem),
    days: region.days,
    now: region.now,
    ca: { pathLen: 0 },
  })
  return { certificatePem, privateKeyPem }
}

export interface LeafSubject {
  readonly party: PartyId
  readonly organisation: string
  readonly regionId: RegionId
  readonly publicKeyPem: string
}

/**
 * Certifies a party of the authority's region.
 *
 * @param request a PEM request, whose names are taken as they are, or what the authority itself vouches for.
 * @param options.serial hex, at most 20 octets; random 128 bits unless given. `days` is cut at the authority's own end.
 * @throws {Problem} certificate/invalid when the request is not genuine or names another region.
 */
export function issueCertificate(
  ca: Authority,
  request: string | LeafSubject,
  options: { serial?: string; days: number; now?: EpochMs; profile?: 'party' | 'party-signature' | 'party-encryption' },
): string {
  const wanted = typeof request === 'string' ? parseCsr(request) : request
  const { issuer, regionId } = openFor(ca, wanted.regionId)
  const subject = { cn: parseWith(PartyId, wanted.party, 'party'), o: wanted.organisation, ou: regionId, c: 'CN' }
  return issue(issuer, { subject, subjectKey: loadPublicKey(wanted.publicKeyPem), ...options })
}

function openFor(ca: Authority, region: string): { issuer: IssuingAuthority; regionId: RegionId } {
  const issuer = openAuthority(ca)
  const regionId = parseWith(RegionId, region, 'regionId')
  if (issuer.certificate.subject.ou !== '' && issuer.certificate.subject.ou !== regionId) {
    throw new Problem('certificate/invalid', { reason: 'the authority is of another region', regionId })
  }
  return { issuer, regionId }
}

export interface PersonSubject {
  readonly userId: string
  readonly hospitalId: PartyId
  readonly name: string
  readonly title: string
  /** Name of the hospital. */
  readonly organisation: string
  readonly regionId: RegionId
  readonly publicKeyPem: string
}

/** Certifies a person of a hospital: for signing documents and nothing else. @throws {Problem} certificate/invalid */
export function issuePersonCertificate(ca: Authority, person: PersonSubject, options: { days: number; now?: EpochMs }): string {
  const { issuer, regionId } = openFor(ca, person.regionId)
  if (person.name === '' || person.userId === '') throw new Problem('certificate/invalid', { reason: 'a person has a name and an account' })
  const subject = {
    cn: person.name,
    title: person.title,
    uid: `${person.userId}@${parseWith(PartyId, person.hospitalId, 'hospitalId')}`,
    o: person.organisation,
    ou: regionId,
    c: 'CN',
  }
  return issue(issuer, { subject, subjectKey: loadPublicKey(person.publicKeyPem), profile: 'person', ...options })
}

/** Certifies something that is neither party nor person: the time stamp authority, an interface. @throws {Problem} certificate/invalid */
export function issueServiceCertificate(
  ca: Authority,
  service: { name: string; organisation: string; regionId: RegionId; publicKeyPem: string },
  options: { days: number; now?: EpochMs; profile: 'time-stamp' | 'service' },
): string {
  const { issuer, regionId } = openFor(ca, service.regionId)
  const subject = { cn: service.name, o: service.organisation, ou: regionId, c: 'CN' }
  return issue(issuer, { subject, subjectKey: loadPublicKey(service.publicKeyPem), ...options })
}

/**
 * A region authority's own key certified anew by the root, for which only the request and the answer travel: the root stays
 * where it is locked away. Names and key stay, so every certificate below it stays good.
 *
 * @param csrPem made by `createAuthorityRequest`. @throws {Problem} certificate/invalid
 */
export function renewIntermediateCa(root: Authority, csrPem: string, options: { days: number; now?: EpochMs }): string {
  const { subject, publicKey } = readRequest(csrPem)
  const regionId = parseWith(RegionId, subject.ou, 'regionId')
  const name = { cn: subject.cn, o: subject.o, ou: regionId, c: 'CN' }
  return issue(openAuthority(root), { subject: name, subjectKey: publicKey, ...options, ca: { pathLen: 0 } })
}

interface Issue {
  subject: DistinguishedName
  subjectKey: Sm2PublicKey
  days: number
  now?: EpochMs | undefined
  serial?: string | undefined
  ca?: { pathLen: number }
  profile?: Profile | undefined
}

function issue(issuer: IssuingAuthority, what: Issue): string {
  const { certificate, key } = issuer
  if (what.ca && certificate.pathLen === 0)
    throw new Problem('certificate/invalid', { reason: 'this authority may not certify another authority' })
  const window = validity(what.days, what.now)
  return writeCertificate(key, {
    issuer: Buffer.from(certificate.subject.derHex, 'hex'),
    subject: encodeName(what.subject),
    subjectKey: what.subjectKey,
    issuerKeyId: Buffer.from(certificate.subjectKeyId, 'hex'),
    notBefore: Math.max(window.notBefore, certificate.notBefore),
    notAfter: Math.min(window.notAfter, certificate.notAfter),
    serial: what.serial,
    ca: what.ca,
    profile: what.profile,
  })
}

function validity(days: number, now: EpochMs = Date.now()): { notBefore: EpochMs; notAfter: EpochMs } {
  return { notBefore: now - BACKDATE_MS, notAfter: now + days * DAY_MS }
}

interface CertificateFields {
  issuer: Uint8Array
  subject: Uint8Array
  subjectKey: Sm2PublicKey
  issuerKeyId: Uint8Array
  notBefore: EpochMs
  notAfter: EpochMs
  serial?: string | undefined
  ca?: { pathLen: number } | undefined
  profile?: Profile | undefined
}

/** TBSCertificate in the order of RFC 5280 4.1. */
function writeCertificate(key: Sm2PrivateKey, fields: CertificateFields): string {
  const tbs = der.sequence(
    der.explicit(0, der.smallInteger(2)),
    der.unsigned(serialBytes(fields.serial)),
    signatureAlgorithm(),
    fields.issuer,
    der.sequence(der.time(fields.notBefore), der.time(fields.notAfter)),
    fields.subject,
    encodePublicKeyInfo(fields.subjectKey.point),
    encodeCertificateExtensions(fields),
  )
  return encodePem('CERTIFICATE', writeSigned(tbs, key))
}

function serialBytes(serial: string | undefined): Uint8Array {
  if (serial === undefined) {
    const random = Uint8Array.from(randomBytes(16))
    random[0] = 0x40 | (random[0]! & 0x3f) // always 16 octets, always positive
    return random
  }
  if (!/^(?:[0-9a-f]{2}){1,20}$/i.test(serial) || /^0*$/.test(serial))
    throw new RangeError('a serial number is 1 to 20 octets of hex, not zero')
  return Buffer.from(serial, 'hex')
}
