import { Buffer } from 'node:buffer'
import { DerReader, malformed, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readOid, readText } from '../der/values.ts'
import * as der from '../der/writer.ts'

/**
 * The attributes we give a meaning: CN party, CA or person, O organisation, OU region, C country; of a person also the title and
 * UID, `account@hospital`. Absent ones are ''.
 */
export interface DistinguishedName {
  readonly cn: string
  readonly o: string
  readonly ou: string
  readonly c: string
  readonly title?: string
  readonly uid?: string
}

const attributes = {
  c: { type: oids.countryName, encode: der.printableString },
  o: { type: oids.organizationName, encode: der.utf8String },
  ou: { type: oids.organizationalUnitName, encode: der.utf8String },
  title: { type: oids.title, encode: der.utf8String },
  cn: { type: oids.commonName, encode: der.utf8String },
  uid: { type: oids.userId, encode: der.utf8String },
} as const
type Attribute = keyof typeof attributes
const order: readonly Attribute[] = ['c', 'o', 'ou', 'title', 'cn', 'uid']

/** GM/T 0015: UTF8String, except the country, which X.520 defines as PrintableString. */
export function encodeName(name: DistinguishedName): Uint8Array {
  const present = order.flatMap((attribute) => {
    const text = name[attribute] ?? ''
    return text === '' ? [] : [{ ...attributes[attribute], text }]
  })
  return der.sequence(...present.map(({ type, encode, text }) => der.setOf(der.sequence(der.oid(type), encode(text)))))
}

/** A name and its exact bytes, which are what issuer and subject are compared by. */
export interface ReadName extends Required<DistinguishedName> {
  readonly derHex: string
}

/** Attributes we do not know are allowed and not read; one of ours twice is refused, since two readers could pick differently. */
export function readName(reader: DerReader, what: string): ReadName {
  const bytes = reader.element(Tag.sequence, what)
  const found: { -readonly [A in Attribute]?: string } = {}
  const rdns = new DerReader(bytes).enter(Tag.sequence, what)
  while (!rdns.done) {
    const rdn = rdns.enter(Tag.set, what)
    const pair = rdn.enter(Tag.sequence, what)
    const type = readOid(pair, what)
    const attribute = order.find((candidate) => attributes[candidate].type === type)
    if (attribute) {
      if (found[attribute] !== undefined) throw malformed(what)
      found[attribute] = readText(pair, what)
    } else pair.any(what)
    pair.finish(what)
    rdn.finish(what)
  }
  const { cn = '', o = '', ou = '', c = '', title = '', uid = '' } = found
  return { cn, o, ou, c, title, uid, derHex: Buffer.from(bytes).toString('hex') }
}
