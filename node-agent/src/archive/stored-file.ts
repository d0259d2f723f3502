import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { Problem } from 'specs'
import type { FrameIndex } from '../dicom/frame-index.ts'
import type { InstanceFile } from './archive.ts'
import { codeOf } from './storage-problem.ts'
import type { Folders } from './folders.ts'
import type { StoredFileRow } from './index-queries.ts'

/** Reads of one instance's file. Each read opens and closes: a replaced or deleted file never stays open behind a slow reader. */
export class StoredFile implements InstanceFile {
  readonly row: StoredFileRow
  readonly file: string

  private constructor(row: StoredFileRow, file: string) {
    this.row = row
    this.file = file
  }

  /** @throws {Problem} archive/unknown-instance when the file is lost. */
  static async locate(folders: Folders, row: StoredFileRow): Promise<StoredFile> {
    const file = path.join(folders.root, row.path)
    if (await exists(file)) return new StoredFile(row, file)
    // Rows come before renaming: for a moment, or after a failed rename, the file is still where it landed.
    const landed = path.join(folders.incoming, `${row.fileId}.part`)
    if (await exists(landed)) return new StoredFile(row, landed)
    throw new Problem('archive/unknown-instance', { sopInstanceUid: row.sopInstanceUid, reason: 'file lost' })
  }

  get sizeBytes(): number {
    return this.row.sizeBytes
  }

  get transferSyntaxUid(): InstanceFile['transferSyntaxUid'] {
    return this.row.transferSyntaxUid
  }

  get datasetOffset(): number {
    return this.row.datasetOffset
  }

  get headerBytes(): number {
    return this.row.headerBytes
  }

  #frameIndex: FrameIndex | undefined
  get frameIndex(): FrameIndex {
    return (this.#frameIndex ??= JSON.parse(this.row.frameIndex) as FrameIndex)
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const handle = await open(this.file, 'r')
    try {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.sizeBytes - offset)))
      let filled = 0
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    } finally {
      await handle.close()
    }
  }

  stream({ start = 0, end = this.sizeBytes }: { start?: number; end?: number } = {}): Readable {
    return createReadStream(this.file, { start, end: Math.max(start, end) - 1, highWaterMark: 256 * 1024 })
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}
