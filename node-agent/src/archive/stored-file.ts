import { Buffer } from 'node:buffer'
import { close as closeFd, createReadStream, open as openFd, read as readFd } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { Problem } from 'specs'
import type { FrameIndex } from '../dicom/frame-index.ts'
import type { InstanceFile } from './archive.ts'
import { EncryptedInput, readFully } from './encryption/encrypted-input.ts'
import { isEncryptedPath, type FileEncryption } from './encryption/file-encryption.ts'
import { codeOf } from './storage-problem.ts'
import type { Folders } from './folders.ts'
import type { StoredFileRow } from './index-queries.ts'
import { chunksOf, type ReadHandle, type Recall } from './storage/recall.ts'

export interface StoredFiles {
  readonly folders: Folders
  /** Without it encrypted files are refused. */
  readonly encryption: FileEncryption | undefined
  /** Where an instance lies now: a conversion beside the running node gives its file another name. */
  find(sopInstanceUid: string): Promise<StoredFileRow | undefined>
  /** A file that is not on the local disk, on its way back from a store; undefined when no store has it (ARC-20). */
  recall?(row: StoredFileRow): Promise<Recall | undefined>
}

/** Where and in which form the bytes are. */
interface Place {
  readonly file: string
  readonly encrypted: EncryptedInput | undefined
  /** Not here yet. */
  readonly recall?: Recall | undefined
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
    const { file, encrypted, recall } = this.#place
    const until = Math.min(Math.max(start, end), this.sizeBytes)
    if (encrypted) return encrypted.stream(() => this.#opened(), start, until)
    if (recall) return Readable.from(this.#chunks(start, until), { objectMode: false, highWaterMark: 256 * 1024 })
    return createReadStream(file, { start, end: Math.max(start, end) - 1, highWaterMark: 256 * 1024, fs: this.#patientFs })
  }

  async *#chunks(start: number, end: number): AsyncGenerator<Buffer> {
    yield* chunksOf(await this.#opened(), start, end)
  }

  /** Opens what has left the disk since it was found as soon as it is back. */
  get #patientFs() {
    return {
      open: (file: string, flags: string, mode: number, callback: (error: NodeJS.ErrnoException | null, fd: number) => void) => {
        openFd(file, flags, mode, (error, fd) => {
          if (error?.code !== 'ENOENT') return callback(error, fd)
          this.#placeAnew(error)
            .then(async ({ file: elsewhere, recall }) => {
              await recall?.bring()
              openFd(elsewhere, flags, mode, callback)
            })
            .catch((failure: unknown) => callback(failure as NodeJS.ErrnoException, -1))
        })
      },
      read: readFd,
      close: closeFd,
    }
  }

  /** One that was found long ago may have been converted since, or have left the disk, and then lies elsewhere. */
  async #opened(): Promise<ReadHandle> {
    try {
      return await open(this.file, 'r')
    } catch (error) {
      const { recall, file } = await this.#placeAnew(error)
      return recall ? recall.open() : open(file, 'r')
    }
  }

  async #placeAnew(error: unknown): Promise<Place> {
    const row = codeOf(error) === 'ENOENT' ? await this.#files.find(this.row.sopInstanceUid) : undefined
    if (!row || row.fileId !== this.row.fileId) throw error
    return (this.#place = await placeOf(this.#files, row))
  }
}

async function placeOf(files: StoredFiles, row: StoredFileRow): Promise<Place> {
  const { folders, encryption } = files
  const here = await whereIs(folders, row)
  const recall = here === undefined ? await files.recall?.(row) : undefined
  if (here === undefined && !recall) throw new Problem('archive/unknown-instance', { sopInstanceUid: row.sopInstanceUid, reason: 'file lost' })
  const file = here ?? path.join(folders.root, row.path)
  if (!isEncryptedPath(row.path)) return { file, encrypted: undefined, recall }
  if (!encryption) throw new Problem('archive/wrong-key', { sopInstanceUid: row.sopInstanceUid, reason: 'no vault' })
  const encrypted = new EncryptedInput(encryption, row.fileId)
  // Before anybody is promised something: a header that does not open is no image.
  const handle = recall ? recall.open() : await open(file, 'r')
  try {
    await encrypted.read(handle, 0, 0)
  } finally {
    await handle.close()
  }
  return { file, encrypted, recall }
}

async function whereIs(folders: Folders, row: StoredFileRow): Promise<string | undefined> {
  const file = path.join(folders.root, row.path)
  if (await exists(file)) return file
  // Rows come before renaming: for a moment, or after a failed rename, the file is still where it landed.
  const landed = path.join(folders.incoming, `${row.fileId}.part`)
  return (await exists(landed)) ? landed : undefined
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}
