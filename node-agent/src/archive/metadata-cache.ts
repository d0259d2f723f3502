import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { readMetadata } from '../dicom/read-metadata.ts'
import { codeOf } from './storage-problem.ts'
import type { Folders } from './folders.ts'
import type { IndexQueries } from './index-queries.ts'
import { StoredFile, type StoredFiles } from './stored-file.ts'
import type { FileEncryption } from './encryption/file-encryption.ts'
import { ENCRYPTED } from './encryption/file-form.ts'
import { idOfPlace } from './encryption/file-keys.ts'
import { decryptWhole, encryptWhole } from './encryption/whole-file.ts'

const compress = promisify(gzip)
/** A series that got no instance for so long is complete, and its metadata are made before anybody asks. */
const quietMs = 4_000
const parallelReads = 8

/**
 * gzip-compressed DICOM JSON of whole series, one file per series and version (ARCHITECTURE, Archive). It names patients: in an archive that
 * encrypts, it is encrypted as well.
 */
export class MetadataCache {
  readonly #folders: Folders
  readonly #files: StoredFiles
  readonly #encryption: FileEncryption | undefined
  readonly #index: IndexQueries
  readonly #log: Log
  readonly #making = new Map<string, Promise<Buffer>>()
  readonly #quiet = new Map<string, NodeJS.Timeout>()

  /** @param encryption of what is written from now on, if the archive encrypts. */
  constructor(files: StoredFiles, index: IndexQueries, log: Log, encryption: FileEncryption | undefined) {
    this.#folders = files.folders
    this.#files = files
    this.#encryption = encryption
    this.#index = index
    this.#log = log
  }

  async read(studyInstanceUid: string, seriesInstanceUid: string): Promise<Buffer> {
    const version = await this.#index.seriesVersion(studyInstanceUid, seriesInstanceUid)
    if (version === undefined) throw new Problem('archive/unknown-study', { studyInstanceUid, seriesInstanceUid })
    const file = path.join(this.#folders.metadata, studyInstanceUid, `${seriesInstanceUid}.${version}.json.gz${this.#encryption ? ENCRYPTED : ''}`)
    const making = this.#making.get(file)
    if (making) return making
    const kept = await this.#kept(file)
    if (kept) return kept
    const made = this.#making.get(file) ?? this.#make(studyInstanceUid, seriesInstanceUid, file)
    this.#making.set(file, made)
    try {
      return await made
    } finally {
      this.#making.delete(file)
    }
  }

  async #kept(file: string): Promise<Buffer | undefined> {
    try {
      const bytes = await readFile(file)
      return this.#encryption ? decryptWhole(this.#encryption, this.#idOf(file), bytes) : bytes
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      // A cache that does not open is made again from the images, which say what is wrong with the key.
      if (!isProblem(error)) throw error
      this.#log.warn({ err: error }, 'kept metadata not readable, made anew')
      return undefined
    }
  }

  #idOf(file: string): string {
    return idOfPlace(path.relative(this.#folders.root, file))
  }

  async #make(studyInstanceUid: string, seriesInstanceUid: string, file: string): Promise<Buffer> {
    const rows = await this.#index.storedFiles(studyInstanceUid, seriesInstanceUid)
    const objects: string[] = []
    for (let from = 0; from < rows.length; from += parallelReads) {
      const part = rows.slice(from, from + parallelReads)
      objects.push(
        ...(await Promise.all(part.map(async (row) => JSON.stringify(await readMetadata(await StoredFile.locate(this.#files, row)))))),
      )
    }
    const bytes = await compress(Buffer.from(`[${objects.join(',')}]`), { level: 6 })
    await this.#keep(seriesInstanceUid, file, bytes)
    return bytes
  }

  async #keep(seriesInstanceUid: string, file: string, bytes: Buffer): Promise<void> {
    const folder = path.dirname(file)
    await mkdir(folder, { recursive: true })
    const temporary = path.join(folder, `${randomUUID()}.tmp`)
    await writeFile(temporary, this.#encryption ? encryptWhole(this.#encryption, this.#idOf(file), bytes) : bytes)
    await rename(temporary, file)
    const older = (await readdir(folder)).filter((name) => name.startsWith(`${seriesInstanceUid}.`) && name !== path.basename(file))
    // `1.2.3.4.json.gz` may be series 1.2.3 version 4 or the beginning of another series' UID.
    for (const name of older)
      if (/^\d+\.json\.gz(?:\.sm4)?$/.test(name.slice(seriesInstanceUid.length + 1))) await rm(path.join(folder, name), { force: true })
  }

  /** Called for every stored instance. */
  changed(studyInstanceUid: string, seriesInstanceUid: string): void {
    const key = `${studyInstanceUid}/${seriesInstanceUid}`
    clearTimeout(this.#quiet.get(key))
    const timer = setTimeout(() => {
      this.#quiet.delete(key)
      this.read(studyInstanceUid, seriesInstanceUid).catch((error: unknown) =>
        this.#log.warn({ err: error, seriesInstanceUid }, 'metadata not prepared'),
      )
    }, quietMs)
    timer.unref()
    this.#quiet.set(key, timer)
  }

  async forget(studyInstanceUid: string): Promise<void> {
    await rm(path.join(this.#folders.metadata, studyInstanceUid), { recursive: true, force: true })
  }

  async close(): Promise<void> {
    for (const timer of this.#quiet.values()) clearTimeout(timer)
    this.#quiet.clear()
    await Promise.allSettled(this.#making.values())
  }
}
