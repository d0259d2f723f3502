import { Buffer } from 'node:buffer'
import { type DerReader, malformed, readWhole, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readBoolean, readNamedBits, readOid, readSmallInteger } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { sm3 } from '../sm3/sm3.ts'
import type { Sm2PublicKey } from '../sm2/keys.ts'

/** RFC 5280 4.2.1.3, in the order of its bits. */
export const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const
export type KeyUsage = (typeof keyUsages)[number]

/** What a certificate is for. The profile decides its key usages and whom its names may name. */
export const profiles = {
  /** One key signs and receives content keys: made at the hospital, never in escrow. */
  party: { usage: ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement'] },
  /** Two keys, as GM/T 0015 describes: one only signs, */
  'party-signature': { usage: ['digitalSignature', 'nonRepudiation'] },
  /** the other only receives content keys. */
  'party-encryption': { usage: ['keyEncipherment', 'dataEncipherment', 'keyAgreement'] },
  /** A doctor, who signs documents and never speaks as a hospital. */
  person: { usage: ['digitalSignature', 'nonRepudiation'] },
  /** RFC 3161 2.3: this purpose alone, and critical. */
  'time-stamp': { usage: ['digitalSignature', 'nonRepudiation'], extended: oids.timeStamping },
  /** An interface or a server within the hospital. */
  service: { usage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'], extended: oids.clientAuth },
} as const satisfies Record<string, { usage: readonly KeyUsage[]; extended?: string }>
export type Profile = keyof typeof profiles

export const CA_USAGE: readonly KeyUsage[] = ['keyCertSign', 'cRLSign']

export interface Extensions {
  readonly isCa: boolean
  readonly pathLen: number | undefined
  readonly keyUsage: ReadonlySet<KeyUsage>
  /** Object identifiers of the extended key usages; empty when the certificate does not limit them. */
  readonly extendedKeyUsage: readonly string[]
  /** Hex, '' when absent. */
  readonly subjectKeyId: string
  readonly authorityKeyId: string
}

/** First 20 bytes of the SM3 of the point; any method that is the same each time will do (RFC 5280 4.2.1.2). */
export function keyIdOf(key: Sm2PublicKey): Uint8Array {
  return sm3(key.point).subarray(0, 20)
}

const extension = (type: string, critical: boolean, value: Uint8Array): Uint8Array =>
  der.sequence(der.oid(type), ...(critical ? [der.boolean(true)] : []), der.octetString(value))

export const authorityKeyIdExtension = (issuerKeyId: Uint8Array): Uint8Array =>
  extension(oids.authorityKeyIdentifier, false, der.sequence(der.implicit(0, issuerKeyId)))

/** RFC 5280 5.3.1, the reasons that we give. */
export const revocationReasons = {
  unspecified: 0,
  'key-compromise': 1,
  'affiliation-changed': 3,
  superseded: 4,
  'cessation-of-operation': 5,
  'privilege-withdrawn': 9,
} as const
export type RevocationReason = keyof typeof revocationReasons

/** The extensions of one entry of a revocation list; absent for `unspecified`, as RFC 5280 5.3.1 asks. */
export const reasonExtensions = (reason: RevocationReason): readonly Uint8Array[] =>
  reason === 'unspecified'
    ? []
    : [der.sequence(extension(oids.reasonCode, false, der.element(Tag.enumerated, Uint8Array.of(revocationReasons[reason]))))]

export function readReason(value: Uint8Array | undefined): RevocationReason {
  if (!value) return 'unspecified'
  const code = readWhole(value, 'reasonCode', (reader) => reader.content(Tag.enumerated, 'reasonCode'))
  const known = Object.entries(revocationReasons).find(([, number]) => code.length === 1 && code[0] === number)
  return (known?.[0] ?? 'unspecified') as RevocationReason
}

export const crlNumberExtension = (number: number): Uint8Array => extension(oids.crlNumber, false, der.smallInteger(number))

/** The `[3]` field of a certificate. */
export function encodeCertificateExtensions(of: {
  subjectKey: Sm2PublicKey
  issuerKeyId: Uint8Array
  ca?: { pathLen: number } | undefined
  profile?: Profile | undefined
}): Uint8Array {
  const profile: { usage: readonly KeyUsage[]; extended?: string } = profiles[of.profile ?? 'party']
  const usage = (of.ca ? CA_USAGE : profile.usage).map((name) => keyUsages.indexOf(name))
  const extended = of.ca ? undefined : profile.extended
  const constraints = of.ca ? der.sequence(der.boolean(true), der.smallInteger(of.ca.pathLen)) : der.sequence()
  return der.explicit(
    3,
    der.sequence(
      extension(oids.basicConstraints, true, constraints),
      extension(oids.keyUsage, true, der.namedBits(usage)),
      ...(extended === undefined ? [] : [extension(oids.extendedKeyUsage, true, der.sequence(der.oid(extended)))]),
      extension(oids.subjectKeyIdentifier, false, der.octetString(keyIdOf(of.subjectKey))),
      authorityKeyIdExtension(of.issuerKeyId),
    ),
  )
}

/** Extension values by type. One that is critical and not in `known` is refused (RFC 5280 4.2), and so is a second of a kind. */
export function readExtensions(reader: DerReader, known: readonly string[]): Map<string, Uint8Array> {
  const values = new Map<string, Uint8Array>()
  const list = reader.enter(Tag.sequence, 'extensions')
  while (!list.done) {
    const entry = list.enter(Tag.sequence, 'extension')
    const type = readOid(entry, 'extension')
    const critical = entry.peek() === Tag.boolean && readBoolean(entry, 'extension')
    const value = entry.content(Tag.octetString, 'extension')
    entry.finish('extension')
    if (critical && !known.includes(type)) throw malformed(`critical extension ${type}`)
    if (values.has(type)) throw malformed('repeated extension')
    values.set(type, value)
  }
  return values
}

const certificateExtensions = [
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
]

export function readCertificateExtensions(reader: DerReader): Extensions {
  const values = readExtensions(reader, certificateExtensions)
  return {
    ...readBasicConstraints(values.get(oids.basicConstraints)),
    keyUsage: readKeyUsage(values.get(oids.keyUsage)),
    extendedKeyUsage: readExtendedKeyUsage(values.get(oids.extendedKeyUsage)),
    subjectKeyId: readSubjectKeyId(values.get(oids.subjectKeyIdentifier)),
    authorityKeyId: readAuthorityKeyId(values.get(oids.authorityKeyIdentifier)),
  }
}

function readBasicConstraints(value: Uint8Array | undefined): { isCa: boolean; pathLen: number | undefined } {
  if (!value) return { isCa: false, pathLen: undefined }
  return readWhole(value, 'basicConstraints', (reader) => {
    const inner = reader.enter(Tag.sequence, 'basicConstraints')
    const isCa = inner.peek() === Tag.boolean && readBoolean(inner, 'basicConstraints')
    const pathLen = inner.done ? undefined : readSmallInteger(inner, 'pathLen')
    inner.finish('basicConstraints')
    if (pathLen !== undefined && !isCa) throw malformed('pathLen without CA')
    return { isCa, pathLen }
  })
}

function readKeyUsage(value: Uint8Array | undefined): Set<KeyUsage> {
  if (!value) return new Set()
  const bits = readWhole(value, 'keyUsage', (reader) => readNamedBits(reader, 'keyUsage'))
  return new Set(keyUsages.filter((_, bit) => bits.has(bit)))
}

function readExtendedKeyUsage(value: Uint8Array | undefined): string[] {
  if (!value) return []
  return readWhole(value, 'extendedKeyUsage', (reader) => {
    const list = reader.enter(Tag.sequence, 'extendedKeyUsage')
    const purposes: string[] = []
    while (!list.done) purposes.push(readOid(list, 'extendedKeyUsage'))
    return purposes
  })
}

function readSubjectKeyId(value: Uint8Array | undefined): string {
  if (!value) return ''
  return readWhole(value, 'subjectKeyIdentifier', (reader) =>
    Buffer.from(reader.content(Tag.octetString, 'subjectKeyIdentifier')).toString('hex'),
  )
}

/** The key identifier alone; issuer name and serial, which openssl may add, repeat what the certificate says anyway. */
export function readAuthorityKeyId(value: Uint8Array | undefined): string {
  if (!value) return ''
  return readWhole(value, 'authorityKeyIdentifier', (reader) => {
    const inner = reader.enter(Tag.sequence, 'authorityKeyIdentifier')
    const id = inner.peek() === Tag.context(0) ? inner.content(Tag.context(0), 'authorityKeyIdentifier') : new Uint8Array(0)
    return Buffer.from(id).toString('hex')
  })
}
