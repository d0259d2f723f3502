import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { sm3Hex } from 'pki'
import { hasRight } from 'service-kit'
import { maskNumber, maskText, Problem } from 'specs'
import type { Request } from 'express'
import type { InstanceFile } from '../archive/archive.ts'
import type { ElementHead } from '../dicom/dataset-scanner.ts'
import { deflated, inflatedDataset, rangeOf, scanHeader } from '../dicom/dataset-stream.ts'
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
/** A former value as it came (ADR 0023): the bytes of a name, perhaps. */
const NONCONFORMING_VALUE = 0x04000552
/** As in identity-mask.ts; PS3.3 C.7.1.1, C.2.3, C.2.4. */
const blanked = new Set([0x00100050, 0x00101000, 0x00101001, 0x00101005, 0x00101040, 0x00101050, 0x00101060, 0x00101080, 0x00101090, 0x00102154, 0x00102155, 0x00102297, 0x00102298, 0x00102299, 0x00104000])
const LONGEST = 64 * 1024

interface Patch {
  readonly offset: number
  readonly bytes: Buffer
}

/**
 * The same file with other values of the same length, so that nothing else of it changes: neither its structure nor one pixel. A deflated
 * dataset is inflated, masked and deflated again while it flows.
 */
export async function maskedFile(file: InstanceFile): Promise<InstanceFile> {
  const { deflated: isDeflated } = transferSyntax(file.transferSyntaxUid)
  const patches = await patchesOf(file)
  if (patches.length === 0) return file
  const lastPatched = Math.max(...patches.map(({ offset, bytes }) => offset + bytes.length))
  async function* patched(chunks: AsyncIterable<Buffer>, start: number): AsyncGenerator<Buffer> {
    let at = start
    for await (const chunk of chunks) {
      yield at < lastPatched ? withPatches(chunk, at, patches) : chunk
      at += chunk.length
    }
  }
  async function* deflatedAgain(): AsyncGenerator<Buffer> {
    yield await file.read(0, file.datasetOffset)
    yield* deflated(patched(inflatedDataset(file), 0))
  }
  const range = (start: number, end: number) => (isDeflated ? rangeOf(deflatedAgain(), start, end - start) : patched(file.stream({ start, end }) as AsyncIterable<Buffer>, start - file.datasetOffset))
  const sizeBytes = isDeflated ? await sizeOf(deflatedAgain()) : file.sizeBytes
  return {
    file: file.file,
    sizeBytes,
    transferSyntaxUid: file.transferSyntaxUid,
    frameIndex: file.frameIndex,
    datasetOffset: file.datasetOffset,
    headerBytes: file.headerBytes,
    // Another content has another name: a cache must not give one for the other.
    row: { ...file.row, sm3: sm3Hex(Buffer.from(`masked ${file.row.sm3}`)) },
    async read(offset, length) {
      if (isDeflated) return Buffer.concat(await collect(range(offset, Math.min(offset + length, sizeBytes))))
      const bytes = await file.read(offset, length)
      return offset - file.datasetOffset < lastPatched ? withPatches(bytes, offset - file.datasetOffset, patches) : bytes
    },
    stream: ({ start = 0, end = sizeBytes } = {}) => Readable.from(range(start, end), { objectMode: false }),
  }
}

/** Offsets count from the start of the (inflated) dataset. */
async function patchesOf(file: InstanceFile): Promise<readonly Patch[]> {
  const patches: Patch[] = []
  await scanHeader(file, {
    element: ({ tag, length = 0 }) => length > 0 && length <= LONGEST && isMasked(tag),
    value: (head, bytes) => {
      const masked = maskedValue(head, bytes)
      if (!masked.equals(bytes)) patches.push({ offset: head.valueOffset, bytes: masked })
    },
  }) // prettier-ignore
  return patches
}

function withPatches(bytes: Buffer, start: number, patches: readonly Patch[]): Buffer {
  const copy = Buffer.from(bytes)
  for (const patch of patches) {
    const from = Math.max(patch.offset, start)
    const to = Math.min(patch.offset + patch.bytes.length, start + copy.length)
    if (from < to) patch.bytes.copy(copy, from - start, from - patch.offset, to - patch.offset)
  }
  return copy
}

async function sizeOf(chunks: AsyncIterable<Buffer>): Promise<number> {
  let sizeBytes = 0
  for await (const chunk of chunks) sizeBytes += chunk.length
  return sizeBytes
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return all
}

const isMasked = (tag: number) => tag === NAME || tag === ID || tag === BIRTH_DATE || tag === BIRTH_TIME || tag === HISTORY || tag === NONCONFORMING_VALUE || blanked.has(tag)

/** Same length, padded with spaces (PS3.5 6.2). */
function maskedValue({ tag, depth }: ElementHead, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1')
  if (tag === HISTORY) return fitted(maskText(text, 'L1'), bytes.length)
  if (tag === BIRTH_DATE) return fitted(/^\d{4}/.test(text) ? `${text.slice(0, 4)}0101` : '', bytes.length)
  if (tag === BIRTH_TIME) return fitted('', bytes.length, '0')
  // A number that is no identity card's stays: staff find the patient by it.
  if (tag === ID && depth === 0) return fitted(maskNumber(text, 'L1'), bytes.length)
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
