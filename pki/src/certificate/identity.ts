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

const isNotRoot = (certificate: Certificate): boolean => certificate.issuer.derHex !== certificate.subject.derHex
