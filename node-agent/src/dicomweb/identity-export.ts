import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { sm3Hex } from 'pki'
import { hasRight } from 'service-kit'
import { maskText, Problem } from 'specs'
import type { Request } from 'express'
import type { InstanceFile } from '../archive/archive.ts'
import { DatasetScanner, type DatasetVisitor, type ElementHead } from '../dicom/dataset-scanner.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import { maskPersonName, seesIdentities } from './identity-mask.ts'
import { exportReason, type StudyAccess, type Viewer } from './study-source.ts'

/** Tells the trail that somebody takes files out with names in them. Rejects when it cannot be told: then nothing leaves. */
export type OnUnmask = (user: Viewer, study: string, reason: string) => Promise<void>

/**
 * Files that a person takes out are masked as lists are (SEC-06, SEC-10). `identity=full` with a reason asks for them as they are: that needs the
 * right to unmask and is told to the trail. Interfaces of the hospital with that right get them as they are.
 * @throws {Problem} access/forbidden, request/invalid
 */
export async function exportsInFull(user: Viewer, request: Request, study: string, onUnmask: OnUnmask | undefined): Promise<boolean> {
  if (seesIdentities(user)) return true
  if (request.query['identity'] !== 'full') return false
  if (!hasRight(user, 'patient.unmask')) throw new Problem('access/forbidden', { doing: 'unmask' })
  const reason = exportReason(request)
  if (reason.length < 2) throw new Problem('request/invalid', { what: 'query', issues: [{ path: 'reason', message: '请填写查看理由' }] })
  await onUnmask?.(user, study, reason)
  return true
}

/** A study of which only masked files come out. */
export const maskedFiles = (access: StudyAccess): StudyAccess => ({
  studyInstanceUid: access.studyInstanceUid,
  study: () => access.study(),
  seriesList: () => access.seriesList(),
  instanceList: (series) => access.instanceList(series),
  metadata: (series) => access.metadata(series),
  instance: async (sopInstanceUid, signal) => maskedFile(await access.instance(sopInstanceUid, signal)),
})

const NAME = 0x00100010
const ID = 0x00100020
const BIRTH_DATE = 0x00100030
const BIRTH_TIME = 0x00100032
const HISTORY = 0x001021b0
/** As in identity-mask.ts; PS3.3 C.7.1.1, C.2.3, C.2.4. */
const blanked = new Set([0x00100050, 0x00101000, 0x00101001, 0x00101005, 0x00101040, 0x00101050, 0x00101060, 0x00101080, 0x00101090, 0x00102154, 0x00102155, 0x00102297, 0x00102298, 0x00102299, 0x00104000])
const LONGEST = 64 * 1024

interface Patch {
  readonly offset: number
  readonly bytes: Buffer
}

/**
 * The same file with other values of the same length, so that nothing else of it changes: neither its structure nor one pixel.
 * @throws {Problem} request/not-acceptable for a deflated dataset, where lengths do not stay.
 */
export async function maskedFile(file: InstanceFile): Promise<InstanceFile> {
  const syntax = transferSyntax(file.transferSyntaxUid)
  if (syntax.deflated) throw new Problem('request/not-acceptable', { reason: 'deflated', transferSyntaxUid: file.transferSyntaxUid })
  const patches: Patch[] = []
  const visitor: DatasetVisitor = {
    element: ({ tag, length = 0, depth }) => length > 0 && length <= LONGEST && (isMasked(tag) || (depth > 0 && tag === ID)),
    value: (head, bytes) => {
      const masked = maskedValue(head, bytes)
      if (!masked.equals(bytes)) patches.push({ offset: file.datasetOffset + head.valueOffset, bytes: masked })
    },
  }
  const scan = new DatasetScanner(syntax, visitor)
  const end = Math.min(file.sizeBytes, file.headerBytes + 16)
  for (let at = file.datasetOffset; at < end; at += LONGEST) scan.push(await file.read(at, Math.min(LONGEST, end - at)))
  if (patches.length === 0) return file
  const patched = (bytes: Buffer, start: number) => {
    const copy = Buffer.from(bytes)
    for (const patch of patches) {
      const from = Math.max(patch.offset, start)
      const to = Math.min(patch.offset + patch.bytes.length, start + copy.length)
      if (from < to) patch.bytes.copy(copy, from - start, from - patch.offset, to - patch.offset)
    }
    return copy
  }
  const lastPatched = Math.max(...patches.map(({ offset, bytes }) => offset + bytes.length))
  return {
    file: file.file,
    sizeBytes: file.sizeBytes,
    transferSyntaxUid: file.transferSyntaxUid,
    frameIndex: file.frameIndex,
    datasetOffset: file.datasetOffset,
    headerBytes: file.headerBytes,
    // Another content has another name: a cache must not give one for the other.
    row: { ...file.row, sm3: sm3Hex(Buffer.from(`masked ${file.row.sm3}`)) },
    read: async (offset, length) => patched(await file.read(offset, length), offset),
    stream: (range = {}) =>
      Readable.from(
        (async function* () {
          let at = range.start ?? 0
          for await (const chunk of file.stream(range) as AsyncIterable<Buffer>) {
            yield at < lastPatched ? patched(chunk, at) : chunk
            at += chunk.length
          }
        })(),
        { objectMode: false },
      ),
  }
}

const isMasked = (tag: number) => tag === NAME || tag === BIRTH_DATE || tag === BIRTH_TIME || tag === HISTORY || blanked.has(tag)

/** Same length, padded with spaces (PS3.5 6.2). */
function maskedValue({ tag, depth }: ElementHead, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1')
  if (tag === HISTORY) return fitted(maskText(text, 'L1'), bytes.length)
  if (tag === BIRTH_DATE) return fitted(/^\d{4}/.test(text) ? `${text.slice(0, 4)}0101` : '', bytes.length)
  if (tag === BIRTH_TIME) return fitted('', bytes.length, '0')
  if (tag !== NAME || depth > 0) return fitted('', bytes.length)
  const [alphabetic = ''] = text.split('=')
  // Other scripts would need the file's own character set; what is left of a name in them is a star.
  return fitted(/^[\x20-\x7e]+$/.test(alphabetic) ? (maskPersonName({ Alphabetic: alphabetic }).Alphabetic ?? '*') : '*', bytes.length)
}

function fitted(text: string, length: number, fill = ' '): Buffer {
  const bytes = Buffer.alloc(length, fill)
  Buffer.from(text, 'latin1').copy(bytes, 0, 0, length)
  return bytes
}
