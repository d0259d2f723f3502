import { KeyRing, loadPrivateKey, parseCertificate, type Certificate, type DecryptionKey, type Identity, type Sm2PrivateKey } from 'pki'
import { Problem } from 'specs'

/** The certificates of this hospital in one region. */
export interface OwnCertificates {
  /** PEM, leaf first, without the root. */
  readonly certificateChain: readonly string[]
  /** PEM of the certificate that others seal for, with dual certificates. */
  readonly encryptionCertificate?: string | undefined
}

/**
 * Finds among all keys the one of each certificate; the others still open what was sealed for them.
 * @throws {Problem} certificate/invalid when the key of a certificate is missing.
 */
export function identityFrom(certificates: OwnCertificates, keys: readonly Sm2PrivateKey[]): Identity {
  const chain = certificates.certificateChain.map(parseCertificate)
  const [certificate] = chain
  if (!certificate) throw new Problem('certificate/invalid', { reason: 'empty chain' })
  const encryption = certificates.encryptionCertificate === undefined ? undefined : keyed(parseCertificate(certificates.encryptionCertificate), keys)
  const { privateKey } = keyed(certificate, keys)
  return {
    party: certificate.party,
    certificate,
    certificateChain: chain.map(({ pem }) => pem),
    privateKey,
    encryption,
    otherKeys: keys.filter((key) => key !== privateKey && key !== encryption?.privateKey),
  }
}

export const ringFrom = (certificates: OwnCertificates, privateKeyPems: readonly string[]): KeyRing =>
  new KeyRing(identityFrom(certificates, privateKeyPems.map((pem) => loadPrivateKey(pem))))

function keyed(certificate: Certificate, keys: readonly Sm2PrivateKey[]): DecryptionKey {
  const privateKey = keys.find((key) => key.publicKey.equals(certificate.publicKey))
  if (!privateKey) throw new Problem('certificate/invalid', { reason: 'the key of the certificate is missing', serial: certificate.serial })
  return { certificate, privateKey }
}
