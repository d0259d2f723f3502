import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { Problem } from 'specs'
import { type Archive, type InstanceFile } from '../archive/archive.ts'
import { maxMetaBytes, readFileMeta } from '../dicom/file-meta.ts'
import { type InstanceToSend } from './scu.ts'

/** Large reads, cut into PDUs when sent. */
const READ_BYTES = 256 * 1024

/** A stored file in another transfer syntax: a whole Part 10 file whose data set begins at `datasetOffset`. @throws {Problem} archive/not-transcodable */
export type Transcode = (file: InstanceFile, transferSyntaxUid: string) => Promise<{ readonly datasetOffset: number; readonly stream: AsyncIterable<Buffer> }>

/**
 * Instances of an archive, read only when their turn comes.
 * @param transcode for peers that do not take what is stored; without it those are told so.
 */
export function instanceOfArchive(
  archive: Pick<Archive, 'open'>,
  row: { readonly sopClassUid: string; readonly sopInstanceUid: string; readonly transferSyntaxUid: string },
  transcode?: Transcode,
): InstanceToSend {
  const { sopClassUid, sopInstanceUid, transferSyntaxUid } = row
  return {
    sopClassUid,
    sopInstanceUid,
    transferSyntaxUid,
    open: async () => {
      const file = await archive.open(sopInstanceUid)
      const head = await file.read(0, Math.min(maxMetaBytes, file.sizeBytes))
      return file.stream({ start: datasetOffset(head, head.length === file.sizeBytes) })
    },
    ...(transcode && {
      openAs: async (syntax: string) => {
        const { datasetOffset: start, stream } = await transcode(await archive.open(sopInstanceUid), syntax)
        return from(stream, start)
      },
    }),
  }
}

async function* from(stream: AsyncIterable<Buffer>, start: number): AsyncGenerator<Buffer> {
  let skip = start
  for await (const chunk of stream) {
    if (skip < chunk.length) yield chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
  }
}

/** A Part 10 file outside any archive; whoever names it knows its UIDs. */
export function instanceOfFile(
  path: string,
  meta: { readonly sopClassUid: string; readonly sopInstanceUid: string; readonly transferSyntaxUid: string },
): InstanceToSend {
  return {
    ...meta,
    open: async () => {
      const file = await open(path)
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(maxMetaBytes), position: 0 }).finally(() => file.close())
      return createReadStream(path, {
        start: datasetOffset(buffer.subarray(0, bytesRead), bytesRead < maxMetaBytes),
        highWaterMark: READ_BYTES,
      })
    },
  }
}

function datasetOffset(head: Buffer, complete: boolean): number {
  const meta = readFileMeta(head, complete)
  if (meta === undefined) throw new Problem('archive/unreadable', { reason: 'file meta information too long' })
  return meta.datasetOffset
}
