import { z } from 'zod'
import { EpochMs, HospitalId, Sm3Hex } from '../identifiers.ts'

/** A certificate or a request for one, PEM. */
const Pem = z.string().max(8_000)
/** PEM, leaf first, without the root. */
export const CertificateChain = z.array(Pem).min(1).max(4)

/** A node → hub, over its authenticated line: a new key of its own, before the certificate runs out. */
export const RenewalRequest = z.object({
  /** PKCS#10 of the new key. */
  csr: Pem,
  /** Of a second key that only receives, where the hospital uses dual certificates (GM/T 0015). */
  encryptionCsr: Pem.optional(),
})
export type RenewalRequest = z.infer<typeof RenewalRequest>
export const RenewalAnswer = z.object({ certificateChain: CertificateChain, encryptionCertificate: Pem.optional() })
export type RenewalAnswer = z.infer<typeof RenewalAnswer>

/** A node → hub: certify the signing key of a person of its own. Who the person is the hospital says; which hospital, its line. */
export const PersonRequest = z.object({
  csr: Pem,
  userId: z.string().min(1).max(64),
  name: z.string().trim().min(1).max(60),
  title: z.string().trim().max(60),
})
export type PersonRequest = z.infer<typeof PersonRequest>
export const PersonAnswer = z.object({ certificateChain: CertificateChain })
export type PersonAnswer = z.infer<typeof PersonAnswer>

/** Why a certificate no longer counts (RFC 5280 5.3.1, those that we give). */
export const RevocationReasonName = z.enum([
  'unspecified',
  'key-compromise',
  'affiliation-changed',
  'superseded',
  'cessation-of-operation',
  'privilege-withdrawn',
])
export type RevocationReasonName = z.infer<typeof RevocationReasonName>

/** A node → hub: a person of its own no longer signs. Repeating it changes nothing. */
export const PersonRevocation = z.object({ serial: z.string().regex(/^[0-9a-f]{2,40}$/), reason: RevocationReasonName })
export type PersonRevocation = z.infer<typeof PersonRevocation>

/** A node → hub: TimeStampReq of RFC 3161 2.4.1 in DER, base64; the answer likewise, TimeStampResp. */
export const TimeStampCall = z.object({ request: z.base64().max(2_000) })
export const TimeStampCallAnswer = z.object({ response: z.base64().max(20_000) })

/** A signature that stays with a document; SM2 over the UTF-8 of its canonical JSON, DER, base64. */
export const DetachedSignature = z.object({ signature: z.string().max(200), certificateChain: CertificateChain })
export type DetachedSignature = z.infer<typeof DetachedSignature>

/**
 * A document with everything needed to judge it years later and far from here, but for the root, which whoever judges must have
 * from elsewhere. Verified by `npm run pki -- verify-document`, or by openssl alone (pki/README.md).
 */
export const SignedDocumentFile = z.object({
  format: z.literal('lianpian-signed-document/1'),
  /** What is signed: its canonical JSON (sorted keys, no spaces, NFC), UTF-8. */
  document: z.record(z.string(), z.unknown()),
  /** `author` is the person, `hospital` the organisation that stands behind it. */
  signatures: z
    .array(DetachedSignature.extend({ role: z.enum(['author', 'hospital']) }))
    .min(1)
    .max(4),
  /** TimeStampToken of RFC 3161 over the first signature, base64 of DER. */
  timeStamp: z.string().max(20_000).optional(),
  /** The revocation list of the day it was exported. */
  crl: z.string().optional(),
  /** Convenience for readers; never to be trusted from this file. */
  rootCertificate: z.string().optional(),
  exportedAt: EpochMs,
})
export type SignedDocumentFile = z.infer<typeof SignedDocumentFile>

/** GET /api/signing-key of a node: what the signing dialog must know. */
export const SigningKeyState = z.object({
  /** `person`: with the doctor's own key; `hospital`: the hospital signs, the doctor is named in the text. */
  by: z.enum(['person', 'hospital']),
  /** The password must be shown before the next signature. */
  secretNeeded: z.boolean(),
  /** There is none for signing yet (people who sign in elsewhere): what is shown first becomes it. */
  secretIsNew: z.boolean(),
  unlockedUntil: EpochMs.nullable(),
  certificate: z.object({ serial: z.string(), subject: z.string(), notBefore: EpochMs, expires: EpochMs }).nullable(),
})
export type SigningKeyState = z.infer<typeof SigningKeyState>

export const CertificateKindName = z.enum(['party', 'party-encryption', 'person', 'time-stamp', 'service', 'hub', 'authority'])
export type CertificateKindName = z.infer<typeof CertificateKindName>
export const CertificateState = z.enum(['valid', 'expiring', 'expired', 'revoked'])
export type CertificateState = z.infer<typeof CertificateState>

/** A certificate as the region's authority keeps it (GET /api/certificates of the hub). */
export const CertificateRow = z.object({
  serial: z.string(),
  kind: CertificateKindName,
  /** Party, person or service as certified. */
  subject: z.string(),
  title: z.string(),
  organisation: z.string(),
  hospitalId: HospitalId.nullable(),
  hospitalName: z.string().nullable(),
  issuedAt: EpochMs,
  expires: EpochMs,
  state: CertificateState,
  /** It is the newest of its holder. */
  current: z.boolean(),
  revokedAt: EpochMs.nullable(),
  reason: z.string().nullable(),
  fingerprintSm3: Sm3Hex,
  pem: z.string(),
})
export type CertificateRow = z.infer<typeof CertificateRow>

/** Whether a certificate counts now, as the authority knows it (as OCSP says it, RFC 6960 2.2). */
export const CertificateStatus = z.object({
  serial: z.string(),
  status: z.enum(['good', 'revoked', 'unknown']),
  revokedAt: EpochMs.nullable(),
  reason: z.string().nullable(),
  thisUpdate: EpochMs,
})
export type CertificateStatus = z.infer<typeof CertificateStatus>
