import { Buffer } from 'node:buffer'
import { canonicalJson, type EpochMs, Problem } from 'specs'
import type { Certificate } from '../certificate/certificate.ts'
import type { Identity } from '../certificate/identity.ts'
import type { ChainOptions, TrustStore } from '../certificate/trust-store.ts'
import { decodeBase64, encodeBase64 } from '../der/base64.ts'
import { sm2Sign, sm2Verify } from '../sm2/signature.ts'

/** A signature that stays with a document: grants, opinions. The document itself is not inside. */
export interface DocumentSignature {
  /** SM2, DER, base64. */
  readonly signature: string
  /** PEM, leaf first. */
  readonly certificateChain: readonly string[]
}

const bytesOf = (value: unknown): Buffer => Buffer.from(canonicalJson(value), 'utf8')

/** Signs the UTF-8 of the canonical JSON of `value`: everybody derives the same bytes from the same content. */
export function signDocument(identity: Identity, value: unknown): { signature: string; certificateChain: string[] } {
  return { signature: encodeBase64(sm2Sign(identity.privateKey, bytesOf(value))), certificateChain: [...identity.certificateChain] }
}

/**
 * @param at epoch ms for which the signer's certificate must have been good; with `historical` also before a later revocation.
 * @returns the signer's certificate; whether that signer was the right one is the caller's question.
 * @throws {Problem} certificate/*, envelope/bad-signature
 */
export function verifyDocument(
  trust: TrustStore,
  value: unknown,
  signed: DocumentSignature,
  at: EpochMs,
  options: ChainOptions = {},
): Certificate {
  const certificate = trust.verifyChain(signed.certificateChain, at, options)
  const signature = decodeBase64(signed.signature)
  if (!signature || !sm2Verify(certificate.publicKey, bytesOf(value), signature)) {
    throw new Problem('envelope/bad-signature', { signer: certificate.subject.cn })
  }
  return certificate
}
