import { Buffer } from 'node:buffer'
import { isProblem, Problem, type ImportFileOutcome } from 'specs'
import type { IncomingInstance, IncomingSource } from '../../archive/archive.ts'
import { readFileMeta } from '../../dicom/file-meta.ts'
import type { Storing } from '../../dicomweb/study-source.ts'

/** What became of one file. */
export interface TakenFile {
  readonly outcome: ImportFileOutcome
  readonly sizeBytes: number
  readonly studyInstanceUid: string | null
  readonly sopInstanceUid: string | null
  readonly problem: Problem | null
  /** The file is the directory of a medium (PS3.10 8): its bytes, and nothing was stored. */
  readonly directory?: Buffer
}

/** Media Storage Directory Storage, PS3.3 F. */
const MEDIA_DIRECTORY = '1.2.840.10008.1.3.10'
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
/** Enough to see what a file is. */
const HEAD_BYTES = 4 * 1024

/**
 * One file on its way into the archive, whatever it is: images are kept while they are read, a DICOMDIR is handed back, everything else is
 * passed over without being read on.
 *
 * @param chunks need not be read to the end.
 * @param isWhole asked before the file is kept: the check sum of a ZIP entry may not fit.
 * @throws what `chunks` throws; the instance is then not kept. {Problem} archive/out-of-space and access/… belong to the import as a whole.
 */
export async function takeFile(storing: Storing, source: IncomingSource, chunks: AsyncIterable<Uint8Array>, isWhole: () => boolean = () => true): Promise<TakenFile> {
  let head: Buffer = Buffer.alloc(0)
  let sizeBytes = 0
  let incoming: IncomingInstance | undefined
  let directory: Buffer[] | undefined
  const told = (outcome: ImportFileOutcome, problem: Problem | null) => ({ outcome, sizeBytes, studyInstanceUid: null, sopInstanceUid: null, problem })
  /** Decided once there is enough of it. @returns false when it is nothing for us. */
  const begin = async (): Promise<boolean> => {
    const kind = kindOf(head)
    if (kind === 'other') return false
    if (kind === 'directory') directory = [head]
    else {
      incoming = await storing.archive.receive(source, { part10: true })
      await incoming.write(head)
    }
    return true
  }
  try {
    for await (const chunk of chunks) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      sizeBytes += bytes.length
      if (directory) {
        if (sizeBytes > MAX_DIRECTORY_BYTES) return told('failed', new Problem('request/too-large', { limitBytes: MAX_DIRECTORY_BYTES }))
        directory.push(bytes)
      } else if (incoming) await incoming.write(bytes)
      else {
        head = Buffer.concat([head, bytes])
        if (head.length >= HEAD_BYTES && !(await begin())) return told('skipped', new Problem('import/not-dicom'))
      }
    }
    if (!incoming && !directory && !(await begin())) return told('skipped', new Problem('import/not-dicom'))
    if (!isWhole()) {
      await incoming?.abort()
      return told('failed', new Problem('import/bad-archive', { reason: 'check sum' }))
    }
    if (directory) return { ...told('skipped', null), directory: Buffer.concat(directory) }
    const receipt = await incoming!.commit({}, ({ studyInstanceUid }) => storing.admit(studyInstanceUid))
    return { outcome: receipt.outcome.kind, sizeBytes, studyInstanceUid: receipt.studyInstanceUid, sopInstanceUid: receipt.sopInstanceUid, problem: null }
  } catch (error) {
    await incoming?.abort()
    if (!isProblem(error) || error.code === 'archive/out-of-space' || error.code === 'import/bad-archive' || error.code === 'import/archive-bomb') throw error
    // Without preamble almost anything looks like a data set for a moment.
    const isDicom = head.toString('latin1', 128, 132) === 'DICM'
    return isDicom || error.code !== 'archive/unreadable' ? told('failed', error) : told('skipped', new Problem('import/not-dicom'))
  }
}

function kindOf(head: Buffer): 'image' | 'directory' | 'other' {
  const hasPreamble = head.toString('latin1', 128, 132) === 'DICM'
  // Careless writers leave the preamble out: then the file begins with an element of group 0002 or 0008.
  const group = head.length >= 8 ? head.readUInt16LE(0) : 0
  if (!hasPreamble && group !== 0x0002 && group !== 0x0008) return 'other'
  // The class stands in the meta header, within the first few elements.
  return head.includes(MEDIA_DIRECTORY, 0, 'latin1') && isDirectory(head) ? 'directory' : 'image'
}

function isDirectory(head: Buffer): boolean {
  // The UID ends here; longer ones begin with the same digits.
  const at = head.indexOf(MEDIA_DIRECTORY, 0, 'latin1') + MEDIA_DIRECTORY.length
  const next = head[at]
  return (next === undefined || next === 0 || next === 0x20 || next === 0x02) && readFileMeta(head, true) !== undefined
}
