import { type PartyId, Problem, RegionId } from 'specs'
import { decodePem, encodePem } from '../der/pem.ts'
import { malformed, Tag } from '../der/reader.ts'
import { readSmallInteger } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { encodePublicKeyInfo, readPublicKeyInfo } from '../sm2/key-encoding.ts'
import { loadPrivateKey, type Sm2PrivateKey, Sm2PublicKey } from '../sm2/keys.ts'
import { partyOf } from './certificate.ts'
import { type DistinguishedName, encodeName, readName, type ReadName } from './name.ts'
import { enterTbs, isSignedBy, readSigned, writeSigned } from './signed.ts'

/** What a party asks to be certified. The authority decides which of it is true. */
export interface CertificateRequest {
  readonly party: PartyId
  readonly organisation: string
  readonly regionId: RegionId
  readonly publicKey: Sm2PublicKey
  readonly publicKeyPem: string
}

/** PKCS#10 request (RFC 2986), signed with SM2 so that it proves possession of the key. */
export function createCsr(request: {
  party: PartyId
  organisation: string
  regionId: RegionId
  privateKeyPem: string
  passphrase?: string
}): string {
  const key = loadPrivateKey(request.privateKeyPem, request.passphrase)
  return signRequestFor({ cn: request.party, o: request.organisation, ou: request.regionId, c: 'CN' }, key)
}

/** The request of a region authority for its own key, to be carried to the root (see renewIntermediateCa). */
export function createAuthorityRequest(authority: { name: ReadName; key: Sm2PrivateKey }): string {
  const { cn, o, ou, c } = authority.name
  return signRequestFor({ cn, o, ou, c }, authority.key)
}

function signRequestFor(name: DistinguishedName, key: Sm2PrivateKey): string {
  const subject = encodeName(name)
  const info = der.sequence(der.smallInteger(0), subject, encodePublicKeyInfo(key.publicKey.point), der.explicit(0, new Uint8Array(0)))
  return encodePem('CERTIFICATE REQUEST', writeSigned(info, key))
}

/**
 * Reads a request and checks that whoever wrote it holds the key.
 * @throws {Problem} certificate/invalid, also when the proof of possession is wrong or the names are not ours.
 */
export function parseCsr(pem: string): CertificateRequest {
  const { subject, publicKey } = readRequest(pem)
  const regionId = RegionId.safeParse(subject.ou)
  if (!regionId.success) throw new Problem('certificate/invalid', { reason: 'the organisational unit is not a region' })
  return { party: partyOf(subject.cn), organisation: subject.o, regionId: regionId.data, publicKey, publicKeyPem: publicKey.toPem() }
}

/** Names and key of any request, after proof of possession. @throws {Problem} certificate/invalid */
export function readRequest(pem: string): { subject: ReadName; publicKey: Sm2PublicKey } {
  const signed = readSigned(decodePem('CERTIFICATE REQUEST', pem), 'certificate request')
  const info = enterTbs(signed, 'certificate request')
  if (readSmallInteger(info, 'version') !== 0) throw malformed('version')
  const subject = readName(info, 'subject')
  const publicKey = new Sm2PublicKey(readPublicKeyInfo(info))
  // Attributes ask for extensions; an authority that gives everybody the same ones does not read them.
  if (!info.done) info.content(Tag.contextConstructed(0), 'attributes')
  info.finish('certificate request')
  if (!isSignedBy(signed, publicKey)) throw new Problem('certificate/invalid', { reason: 'proof of possession' })
  return { subject, publicKey }
}
