import { Buffer } from 'node:buffer'
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { isIP } from 'node:net'
import type { EpochMs } from 'specs'
import { encodeName } from '../certificate/name.ts'
import { oids } from '../der/oids.ts'
import { encodePem } from '../der/pem.ts'
import * as der from '../der/writer.ts'

/**
 * Certificates for TLS 1.2 and 1.3: ECDSA on P-256 with SHA-256. Browsers, modalities and nats-server cannot do SM2, so this is an
 * authority of its own beside the SM2 one, whose signature under the TLS root is what ties the two together.
 */
export interface TlsKeyMaterial {
  readonly certificatePem: string
  /** PKCS#8. */
  readonly privateKeyPem: string
}

const DAY_MS = 86_400_000
/** A new certificate must already hold on machines whose clock is behind. */
const BACKDATE_MS = 3_600_000
const ecdsaWithSha256 = '1.2.840.10045.4.3.2' // RFC 5758

/** @returns a self-signed root that may certify servers and nothing below them. */
export function createTlsAuthority(root: { name: string; days: number; now?: EpochMs }): TlsKeyMaterial {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = encodeName({ cn: root.name, o: root.name, ou: '', c: 'CN' })
  return write({ key: privateKey, issuer: name, issuerKey: privateKey, subject: name, days: root.days, now: root.now, ca: true })
}

/**
 * Certifies a server with a new key.
 *
 * @param server.names Host names and addresses by which it is reached; at least one. The first is also the common name.
 */
export function issueTlsCertificate(
  authority: TlsKeyMaterial,
  server: { names: readonly string[]; days: number; now?: EpochMs },
): TlsKeyMaterial {
  const [first] = server.names
  if (first === undefined) throw new RangeError('a server has a name')
  const issuerKey = createPrivateKey(authority.privateKeyPem)
  const parent = new X509Certificate(authority.certificatePem)
  if (!parent.ca || !parent.checkPrivateKey(issuerKey)) throw new RangeError('not an authority with its key')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return write({
    key: privateKey,
    issuer: subjectOf(parent.raw),
    issuerKey,
    subject: encodeName({ cn: first.slice(0, 64), o: '', ou: '', c: 'CN' }),
    days: server.days,
    now: server.now,
    notAfter: new Date(parent.validTo).getTime(),
    names: server.names,
  })
}

interface Fields {
  readonly key: KeyObject
  readonly issuer: Uint8Array
  readonly issuerKey: KeyObject
  readonly subject: Uint8Array
  readonly days: number
  readonly now?: EpochMs | undefined
  /** End of the issuer. */
  readonly notAfter?: EpochMs
  readonly names?: readonly string[]
  readonly ca?: true
}

/** TBSCertificate in the order of RFC 5280 4.1. */
function write(fields: Fields): TlsKeyMaterial {
  const { key, issuer, issuerKey, subject, days, now = Date.now(), notAfter = Number.MAX_SAFE_INTEGER } = fields
  const algorithm = der.sequence(der.oid(ecdsaWithSha256))
  const publicKeyInfo = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const serial = randomBytes(16)
  serial[0] = 0x40 | (serial[0]! & 0x3f) // always 16 octets, always positive
  const tbs = der.sequence(
    der.explicit(0, der.smallInteger(2)),
    der.unsigned(serial),
    algorithm,
    issuer,
    der.sequence(der.time(now - BACKDATE_MS), der.time(Math.min(now + days * DAY_MS, notAfter))),
    subject,
    publicKeyInfo,
    der.explicit(3, der.sequence(...extensions(fields, publicKeyInfo))),
  )
  const certificate = der.sequence(tbs, algorithm, der.bitString(sign('sha256', tbs, issuerKey)))
  return {
    certificatePem: encodePem('CERTIFICATE', certificate),
    privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function extensions({ ca, names = [], issuerKey }: Fields, publicKeyInfo: Uint8Array): Uint8Array[] {
  const extension = (type: string, critical: boolean, value: Uint8Array) =>
    der.sequence(der.oid(type), ...(critical ? [der.boolean(true)] : []), der.octetString(value))
  const issuerInfo = createPublicKey(issuerKey).export({ type: 'spki', format: 'der' })
  const common = [
    extension(oids.subjectKeyIdentifier, false, der.octetString(keyIdOf(publicKeyInfo))),
    extension(oids.authorityKeyIdentifier, false, der.sequence(der.implicit(0, keyIdOf(issuerInfo)))),
  ]
  if (ca) {
    return [
      extension(oids.basicConstraints, true, der.sequence(der.boolean(true), der.smallInteger(0))),
      extension(oids.keyUsage, true, der.namedBits([5, 6])), // keyCertSign, cRLSign
      ...common,
    ]
  }
  return [
    extension(oids.basicConstraints, true, der.sequence()),
    extension(oids.keyUsage, true, der.namedBits([0])), // digitalSignature
    extension(oids.extendedKeyUsage, false, der.sequence(der.oid(oids.serverAuth))),
    extension(oids.subjectAltName, false, der.sequence(...names.map(generalName))),
    ...common,
  ]
}

/** RFC 5280 4.2.1.6: [2] dNSName, [7] iPAddress. */
function generalName(name: string): Uint8Array {
  if (isIP(name) === 0) return der.implicit(2, Buffer.from(name, 'latin1'))
  return der.implicit(7, addressBytes(name))
}

function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  // The URL parser writes every spelling of an IPv6 address in one way (RFC 5952).
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** RFC 5280 4.2.1.2 (1); the BIT STRING of a P-256 key is the last 65 octets of its SubjectPublicKeyInfo. */
const keyIdOf = (publicKeyInfo: Uint8Array): Uint8Array => createHash('sha1').update(publicKeyInfo.subarray(-65)).digest()

/** The subject's exact bytes out of a certificate that we wrote: after version, serial, algorithm, issuer, validity. */
function subjectOf(certificate: Uint8Array): Uint8Array {
  const tbs = contentOf(contentOf(certificate))
  let at = 0
  for (let skipped = 0; skipped < 5; skipped++) at += sizeOf(tbs.subarray(at))
  return tbs.subarray(at, at + sizeOf(tbs.subarray(at)))
}

function headOf(bytes: Uint8Array): { head: number; length: number } {
  const first = bytes[1] ?? 0
  if (first < 0x80) return { head: 2, length: first }
  const octets = first & 0x7f
  const length = bytes.subarray(2, 2 + octets).reduce((sum, octet) => sum * 256 + octet, 0)
  return { head: 2 + octets, length }
}
const sizeOf = (bytes: Uint8Array): number => headOf(bytes).head + headOf(bytes).length
const contentOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(headOf(bytes).head, sizeOf(bytes))
