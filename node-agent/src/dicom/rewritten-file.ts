import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import { DatasetRewriter, type DatasetEditor } from './dataset-rewriter.ts'
import { datasetRange, deflated, scanHeader } from './dataset-stream.ts'
import { writeFileMeta, type FileMeta } from './file-meta.ts'
import { transferSyntax } from './transfer-syntax.ts'

/**
 * A stored file with another header, in the same transfer syntax and with the same pixels, as a stream: neither is ever held whole.
 *
 * @param meta of the new file; its transfer syntax is that of the stored one.
 * @throws {Problem} archive/unreadable
 */
export async function* rewrittenFile(file: InstanceFile, editor: DatasetEditor, meta: Omit<FileMeta, 'transferSyntaxUid'>): AsyncGenerator<Buffer> {
  const syntax = transferSyntax(file.transferSyntaxUid)
  const rewriter = new DatasetRewriter(syntax, editor)
  await scanHeader(file, rewriter)
  const isInFragments = rewriter.pixels !== undefined && rewriter.pixels.length === undefined
  const pixelsEnd = isInFragments ? fragmentsEnd(file) : undefined // what cannot be written is refused before the first byte
  yield writeFileMeta({ ...meta, transferSyntaxUid: file.transferSyntaxUid })
  const dataset = newDataset(file, rewriter, pixelsEnd)
  yield* syntax.deflated ? deflated(dataset) : dataset
}

async function* newDataset(file: InstanceFile, rewriter: DatasetRewriter, pixelsEnd = 0): AsyncGenerator<Buffer> {
  for (const part of rewriter.parts()) {
    if (Buffer.isBuffer(part)) yield part
    else yield* datasetRange(file, part.from, part.length) // same syntax, same byte order
  }
  const { pixels } = rewriter
  if (!pixels) return
  yield pixels.head
  if (pixels.length !== undefined) return yield* datasetRange(file, pixels.from, pixels.length)
  yield* datasetRange(file, pixels.from, pixelsEnd - file.datasetOffset - pixels.from)
  yield rewriter.fragmentsEnd
}

/** Behind the last fragment, where the delimiter stands; noted in the frame index when the file came. */
function fragmentsEnd({ frameIndex, row }: InstanceFile): number {
  const last = frameIndex.kind === 'encapsulated' ? frameIndex.fragments.at(-1) : undefined
  if (!last) throw new Problem('archive/unreadable', { reason: 'no fragments', sopInstanceUid: row.sopInstanceUid })
  return last[0] + last[1]
}
