import { verifyDocument, type Certificate, type TrustStore } from 'pki'
import { Problem, type EpochMs, type Opinion } from 'specs'
import { stampedAt, stampedSignature } from './time-stamps.ts'

export interface JudgedOpinion {
  readonly hospital: Certificate
  /** The signer's own, when the opinion carries it. */
  readonly author: Certificate | undefined
  /** When the region's time stamp authority saw the signature. */
  readonly stampedAt: EpochMs | undefined
}

/**
 * Whether the text is what hospital and doctor have signed. Certificates are judged for `at`, a moment the hub has recorded, so that
 * neither their end nor a later revocation undoes an opinion.
 *
 * @throws {Problem} certificate/…, envelope/bad-signature, signing/document-invalid when the doctor's certificate names somebody else.
 */
export function judgeOpinion(trust: TrustStore, opinion: Omit<Opinion, 'keyObject'>, at: EpochMs): JudgedOpinion {
  const { text, author: personal, timeStamp } = opinion
  const options = { historical: true, acceptSuperseded: true }
  const hospital = verifyDocument(trust, text, opinion, at, options)
  const author = personal && verifyDocument(trust, text, personal, at, options)
  if (hospital.party !== text.signer.hospitalId) throw new Problem('signing/document-invalid', { reason: 'hospital' })
  if (author && (author.person?.userId !== text.signer.userId || author.person.hospitalId !== text.signer.hospitalId))
    throw new Problem('signing/document-invalid', { reason: 'signer' })
  return { hospital, author, stampedAt: timeStamp === undefined ? undefined : stampedAt(trust, timeStamp, stampedSignature(opinion)) }
}
