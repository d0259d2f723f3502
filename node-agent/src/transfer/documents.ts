import { isProblem, type DocumentFailure, type ProblemCode, type ManifestRow, type RetrieveDocuments } from 'specs'
import type { Archive } from '../archive/archive.ts'

/** Of our own making: with one of our codes. */
export type Failure = DocumentFailure & { readonly code: ProblemCode }

/**
 * The instances that were named, as far as they lie in this study and can be read; of the others, why not. An instance of another study is as
 * unknown as one that there is not: the grant is for this one.
 */
export async function findDocuments(
  archive: Pick<Archive, 'study' | 'manifest' | 'open'>,
  { studyInstanceUid, seriesInstanceUid, sopInstanceUids }: Pick<RetrieveDocuments, 'studyInstanceUid' | 'seriesInstanceUid' | 'sopInstanceUids'>,
): Promise<{ documents: ManifestRow[]; failures: Failure[] }> {
  const rows = (await archive.study(studyInstanceUid)) ? await archive.manifest(studyInstanceUid) : []
  const held = new Map(rows.map((row) => [row.sopInstanceUid, row]))
  const documents: ManifestRow[] = []
  const failures: Failure[] = []
  for (const sopInstanceUid of new Set(sopInstanceUids)) {
    const row = held.get(sopInstanceUid)
    if (!row || (seriesInstanceUid !== undefined && row.seriesInstanceUid !== seriesInstanceUid)) {
      failures.push({ sopInstanceUid, errorCode: 'XDSDocumentUniqueIdError', code: 'archive/unknown-instance' })
      continue
    }
    const fault = await faultOf(archive, sopInstanceUid)
    if (fault === undefined) documents.push(row)
    else failures.push({ sopInstanceUid, errorCode: 'XDSRepositoryError', code: fault })
  }
  return { documents, failures }
}

/** Why an instance that stands in the list cannot be read: lost, damaged, its key missing. */
async function faultOf(archive: Pick<Archive, 'open'>, sopInstanceUid: string): Promise<ProblemCode | undefined> {
  try {
    await archive.open(sopInstanceUid)
    return undefined
  } catch (error) {
    if (isProblem(error)) return error.code === 'archive/unknown-instance' ? 'archive/damaged-file' : error.code
    throw error
  }
}
