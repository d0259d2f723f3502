export { generateSm2KeyPair, loadPrivateKey, loadPublicKey, type Sm2PrivateKey, type Sm2PublicKey } from './sm2/keys.ts'
export { sm2Sign, sm2Verify } from './sm2/signature.ts'
export { sm2Decrypt, sm2Encrypt } from './sm2/encryption.ts'
export { createSm3, hmacSm3, sameMac, sm3, sm3Hex, type StreamingSm3 } from './sm3/sm3.ts'
export { randomBytes, SM4_IV_BYTES, SM4_KEY_BYTES, sm4CtrDecrypt, sm4CtrEncrypt } from './sm4/sm4.ts'
export { GCM_NONCE_BYTES, GCM_TAG_BYTES, Sm4Gcm } from './sm4/gcm.ts'
export { splitPem } from './der/pem.ts'
export { type Certificate, type CertificateKind, type CertifiedPerson, parseCertificate } from './certificate/certificate.ts'
export type { KeyUsage, RevocationReason } from './certificate/extensions.ts'
export type { DistinguishedName } from './certificate/name.ts'
export { type CertificateRequest, createAuthorityRequest, createCsr, parseCsr } from './certificate/request.ts'
export {
  type Authority,
  createIntermediateCa,
  createRootCa,
  issueCertificate,
  issuePersonCertificate,
  issueServiceCertificate,
  type LeafSubject,
  type PersonSubject,
  renewIntermediateCa,
} from './certificate/authority.ts'
export { issueCrl, parseCrl, type RevocationList, type RevokedEntry } from './certificate/revocation-list.ts'
export { type ChainOptions, TrustStore } from './certificate/trust-store.ts'
export { type DecryptionKey, encryptionCertificateOf, type Identity, loadDecryptionKey, loadIdentity } from './certificate/identity.ts'
export { KeyRing } from './certificate/key-ring.ts'
export { Sealer, type SealInput } from './envelope/sealer.ts'
export { type OpenedEnvelope, type OpenExpectation, Opener } from './envelope/opener.ts'
export { ReplayGuard } from './envelope/replay-guard.ts'
export { type DocumentSignature, signDocument, verifyDocument } from './envelope/signed-document.ts'
export { createTimeStampRequest, parseTimeStampRequest, type TimeStampRequest } from './time-stamp/request.ts'
export { answerTimeStampRequest, loadTimeStampAuthority, type TimeStampAuthority } from './time-stamp/authority.ts'
export { parseTimeStampToken, type TimeStampToken, tokenOfResponse, verifyTimeStamp } from './time-stamp/token.ts'
export { PieceCipher } from './envelope/piece-cipher.ts'
export { provider } from './provider/choose.ts'
export { createTlsAuthority, issueTlsCertificate, type TlsKeyMaterial } from './tls/tls-authority.ts'
export { isRequestSignature, type RequestToSign, signRequest } from './request/sign-request.ts'
