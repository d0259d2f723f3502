import { z } from 'zod'
import { SignedGrant } from '../access/grant.ts'
import { SignedAssertion } from '../federation/assertion.ts'
import { EpochMs, HospitalId, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid } from '../identifiers.ts'
import { ManifestRow } from './messages.ts'

/**
 * An image-document consumer (影像文档使用者) asks the image-document source (影像文件源) by message for single instances (FED-27, AGT-11). The
 * words are those of the IHE transaction Retrieve Imaging Document Set (RAD-69): a document is an instance, its unique id the SOP Instance UID, the
 * repository the hospital that holds it.
 */
export const MOST_DOCUMENTS = 500

/** What became of the whole request (IHE ITI TF-3 4.2.4.2). */
export const DocumentStatus = z.enum(['Success', 'PartialSuccess', 'Failure'])
export type DocumentStatus = z.infer<typeof DocumentStatus>

/** Why a document was not given (IHE ITI TF-3 table 4.2.4.1-2). */
export const DocumentErrorCode = z.enum(['XDSDocumentUniqueIdError', 'XDSRepositoryError'])
export type DocumentErrorCode = z.infer<typeof DocumentErrorCode>

const Named = {
  studyInstanceUid: StudyInstanceUid,
  /** Where the asker knows it, it must be right. */
  seriesInstanceUid: SeriesInstanceUid.optional(),
  sopInstanceUids: z.array(SopInstanceUid).min(1).max(MOST_DOCUMENTS),
}

/** Sealed request of service `document.retrieve`. */
export const RetrieveDocuments = z.object({ ...Named, grant: SignedGrant, assertion: SignedAssertion.optional() })
export type RetrieveDocuments = z.infer<typeof RetrieveDocuments>

export const DocumentFailure = z.object({
  sopInstanceUid: SopInstanceUid,
  errorCode: DocumentErrorCode,
  /** Our own code, see problem.ts. */
  code: z.string().max(64),
})
export type DocumentFailure = z.infer<typeof DocumentFailure>

/** Sealed reply. The content of the documents follows in pieces under the session, as of a whole study (`transfer.piece`); there is none when nothing was found. */
export const DocumentsGiven = z.object({
  status: DocumentStatus,
  repositoryUniqueId: HospitalId,
  session: z.object({ sessionId: z.uuid(), encryptionKey: z.base64(), macKey: z.base64(), expires: EpochMs }).nullable(),
  documents: z.array(ManifestRow).max(MOST_DOCUMENTS),
  failures: z.array(DocumentFailure).max(MOST_DOCUMENTS),
})
export type DocumentsGiven = z.infer<typeof DocumentsGiven>

export const documentStatus = (given: number, failed: number): DocumentStatus => (failed === 0 ? 'Success' : given === 0 ? 'Failure' : 'PartialSuccess')

/** What a user or a program of the hospital asks its node for. */
export const AskDocuments = z.object({ ownerHospital: HospitalId, ...Named })
export type AskDocuments = z.infer<typeof AskDocuments>

/** One answer for each UID asked for, in their order. */
export const DocumentAnswer = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('given'),
    sopInstanceUid: SopInstanceUid,
    seriesInstanceUid: SeriesInstanceUid,
    transferSyntaxUid: TransferSyntaxUid,
    sizeBytes: z.number().int().positive(),
    /** Where the instance can be retrieved now (WADO-RS). */
    retrieveUrl: z.string(),
    /** It was here before; nothing was asked of the owner for it. */
    wasHere: z.boolean(),
  }),
  z.object({ state: z.literal('refused'), sopInstanceUid: SopInstanceUid, errorCode: DocumentErrorCode, code: z.string(), title: z.string(), titleEn: z.string() }),
])
export type DocumentAnswer = z.infer<typeof DocumentAnswer>

export const DocumentAnswers = z.object({ status: DocumentStatus, repositoryUniqueId: HospitalId, documents: z.array(DocumentAnswer) })
export type DocumentAnswers = z.infer<typeof DocumentAnswers>
