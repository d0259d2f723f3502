import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { Problem } from 'specs'
import type { FrameIndex } from '../dicom/frame-index.ts'
import type { InstanceFile } from './archive.ts'
import { EncryptedInput, readFully } from './encryption/encrypted-input.ts'
import { isEncryptedPath, type FileEncryption } from './encryption/file-encryption.ts'
import { codeOf } from './storage-problem.ts'
import type { Folders } from './folders.ts'
import type { StoredFileRow } from './index-queries.ts'

export interface StoredFiles {
  readonly folders: Folders
  /** Without it encrypted files are refused. */
  readonly encryption: FileEncryption | undefined
  /** Where an instance lies now: a conversion beside the running node gives its file another name. */
  find(sopInstanceUid: string): Promise<StoredFileRow | undefined>
}

/** Where and in which form the bytes are. */
interface Place {
  readonly file: string
  readonly encrypted: EncryptedInput | undefined
}

/** Reads of one instance's file. Each read opens and closes: a replaced or deleted file never stays open behind a slow reader. */
export class StoredFile implements InstanceFile {
  readonly row: StoredFileRow
  readonly #files: StoredFiles
  #place: Place

  private constructor(row: StoredFileRow, files: StoredFiles, place: Place) {
    this.row = row
    this.#files = files
    this.#place = place
  }

  /** @throws {Problem} archive/unknown-instance when the file is lost; archive/wrong-key, archive/damaged-file when it is encrypted and cannot be read. */
  static async locate(files: StoredFiles, row: StoredFileRow): Promise<StoredFile> {
    return new StoredFile(row, files, await placeOf(files, row))
  }

  get file(): string {
    return this.#place.file
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
    const handle = await this.#opened()
    try {
      const wanted = Math.max(0, Math.min(length, this.sizeBytes - offset))
      if (this.#place.encrypted) return await this.#place.encrypted.read(handle, offset, wanted)
      const bytes = Buffer.allocUnsafe(wanted)
      return bytes.subarray(0, await readFully(handle, bytes, offset))
    } finally {
      await handle.close()
    }
  }

  stream({ start = 0, end = this.sizeBytes }: { start?: number; end?: number } = {}): Readable {
    const { file, encrypted } = this.#place
    if (encrypted) return encrypted.stream(() => open(file, 'r'), start, Math.min(Math.max(start, end), this.sizeBytes))
    return createReadStream(file, { start, end: Math.max(start, end) - 1, highWaterMark: 256 * 1024 })
  }

  /** One that was found long ago may have been converted since, and then lies elsewhere. */
  async #opened(): Promise<FileHandle> {
    try {
      return await open(this.file, 'r')
    } catch (error) {
      const row = codeOf(error) === 'ENOENT' ? await this.#files.find(this.row.sopInstanceUid) : undefined
      if (!row || row.fileId !== this.row.fileId || row.path === this.row.path) throw error
      this.#place = await placeOf(this.#files, row)
      return open(this.file, 'r')
    }
  }
}

async function placeOf({ folders, encryption }: StoredFiles, row: StoredFileRow): Promise<Place> {
  const file = await whereIs(folders, row)
  if (!isEncryptedPath(row.path)) return { file, encrypted: undefined }
  if (!encryption) throw new Problem('archive/wrong-key', { sopInstanceUid: row.sopInstanceUid, reason: 'no vault' })
  const encrypted = new EncryptedInput(encryption, row.fileId)
  // Before anybody is promised something: a header that does not open is no image.
  const handle = await open(file, 'r')
  try {
    await encrypted.read(handle, 0, 0)
  } finally {
    await handle.close()
  }
  return { file, encrypted }
}

async function whereIs(folders: Folders, row: StoredFileRow): Promise<string> {
  const file = path.join(folders.root, row.path)
  if (await exists(file)) return file
  // Rows come before renaming: for a moment, or after a failed rename, the file is still where it landed.
  const landed = path.join(folders.incoming, `${row.fileId}.part`)
  if (await exists(landed)) return landed
  throw new Problem('archive/unknown-instance', { sopInstanceUid: row.sopInstanceUid, reason: 'file lost' })
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}
