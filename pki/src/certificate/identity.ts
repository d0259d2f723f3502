import { type PartyId, Problem } from 'specs'
import { loadPrivateKey, type Sm2PrivateKey } from '../sm2/keys.ts'
import { type Certificate, parseCertificate } from './certificate.ts'

/** Who we are: a key, and the chain that says so to others. */
export interface Identity {
  readonly party: PartyId
  /** PEM, leaf first, without the root. */
  readonly certificateChain: readonly string[]
  readonly certificate: Certificate
  readonly privateKey: Sm2PrivateKey
  /** The key that content is sealed for, where it is not the one that signs (dual certificates). */
  readonly encryption?: DecryptionKey | undefined
  /** Keys of before a renewal, and one that is about to be certified: they sign nothing and open what was sealed for them. */
  readonly otherKeys?: readonly Sm2PrivateKey[] | undefined
}

export interface DecryptionKey {
  readonly certificate: Certificate
  readonly privateKey: Sm2PrivateKey
}

/** @throws {Problem} certificate/invalid when chain and key do not belong together, certificate/wrong-passphrase. */
export function loadIdentity(from: { certificateChain: readonly string[]; privateKeyPem: string; passphrase?: string }): Identity {
  const [leafPem] = from.certificateChain
  if (leafPem === undefined) throw new Problem('certificate/invalid', { reason: 'empty chain' })
  const certificate = parseCertificate(leafPem)
  const privateKey = loadPrivateKey(from.privateKeyPem, from.passphrase)
  if (!privateKey.publicKey.equals(certificate.publicKey))
    throw new Problem('certificate/invalid', { reason: 'key and certificate differ' })
  const certificateChain = from.certificateChain.map(parseCertificate).filter(isNotRoot)
  return { party: certificate.party, certificateChain: certificateChain.map(({ pem }) => pem), certificate, privateKey }
}

/** @throws {Problem} certificate/invalid when they do not belong together, certificate/wrong-passphrase. */
export function loadDecryptionKey(from: { certificatePem: string; privateKeyPem: string; passphrase?: string }): DecryptionKey {
  const certificate = parseCertificate(from.certificatePem)
  const privateKey = loadPrivateKey(from.privateKeyPem, from.passphrase)
  if (!privateKey.publicKey.equals(certificate.publicKey))
    throw new Problem('certificate/invalid', { reason: 'key and certificate differ' })
  return { certificate, privateKey }
}

/** The certificate that others seal for when they write to this party. */
export const encryptionCertificateOf = ({ encryption, certificate }: Pick<Identity, 'encryption' | 'certificate'>): Certificate =>
  encryption?.certificate ?? certificate

/** Every key with which content for this party may have been sealed, the present one first. */
export const decryptionKeysOf = ({ privateKey, encryption, otherKeys = [] }: Identity): readonly Sm2PrivateKey[] =>
  encryption ? [encryption.privateKey, privateKey, ...otherKeys] : [privateKey, ...otherKeys]

const isNotRoot = (certificate: Certificate): boolean => certificate.issuer.derHex !== certificate.subject.derHex
