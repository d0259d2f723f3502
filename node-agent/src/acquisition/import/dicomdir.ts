import type { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { itemsAt, readDataSet, textAt } from '../../dicom/data-set.ts'
import { readFileMeta } from '../../dicom/file-meta.ts'

/** One file that a medium says it holds. */
export interface ListedFile {
  readonly sopInstanceUid: string
  /** Referenced File ID (0004,1500) as a path, for people; never opened by that name. */
  readonly name: string
}

/**
 * What should be on the medium (PS3.3 F.3.2.2): every record that names a file, in the order of the directory.
 * @throws {Problem} archive/unreadable
 */
export function readDicomDir(bytes: Buffer): ListedFile[] {
  const meta = readFileMeta(bytes, true)
  if (!meta) throw new Problem('archive/unreadable', { reason: 'DICOMDIR' })
  const records = itemsAt(readDataSet(bytes.subarray(meta.datasetOffset), meta.transferSyntaxUid), 'DirectoryRecordSequence')
  return records
    .map((record) => ({ sopInstanceUid: textAt(record, 'ReferencedSOPInstanceUIDInFile'), name: textAt(record, 'ReferencedFileID').replaceAll('\\', '/'), inUse: textAt(record, 'RecordInUseFlag') }))
    .filter(({ sopInstanceUid, inUse }) => sopInstanceUid !== '' && inUse !== '0') // 0000H: no longer in use
}
