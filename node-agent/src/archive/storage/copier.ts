import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import type { Database, Log } from 'service-kit'
import { Problem } from 'specs'
import { HEADER_BYTES, isEncryptedPath } from '../encryption/file-form.ts'
import type { Folders } from '../folders.ts'
import { codeOf } from '../storage-problem.ts'
import { announceObject, copiesOfFile, isCurrentCopy, keyFor, recordCopy, type CopyRole, type FileRow } from './copies.ts'
import { countAll, Counted } from './digest-stream.ts'
import type { StoreBook } from './store-book.ts'

export interface CopierParts {
  readonly db: Database
  readonly folders: Folders
  readonly stores: StoreBook
  readonly log: Log
}

/** Bytes as they lie on the disk: of an encrypted file its header and ciphertext. */
export const storedBytes = ({ path: name, sizeBytes }: Pick<FileRow, 'path' | 'sizeBytes'>): number => sizeBytes + (isEncryptedPath(name) ? HEADER_BYTES : 0)

/** Makes copies of files in stores. A copy has a row only when it was read back and is what it has to be. */
export class Copier {
  readonly #parts: CopierParts

  constructor(parts: CopierParts) {
    this.#parts = parts
  }

  /**
   * @returns false when the file was replaced or deleted meanwhile.
   * @throws {Problem} store/…; archive/damaged-file when what lies here is not what its row says, archive/unknown-instance when it lies nowhere.
   */
  async copy(file: FileRow, storeId: string, role: CopyRole, signal?: AbortSignal): Promise<boolean> {
    const { db, stores } = this.#parts
    const held = (await copiesOfFile(db, file.fileId)).find((copy) => copy.storeId === storeId)
    if (held && isCurrentCopy(held, file)) {
      if (held.role !== role && role === 'tier') await db.run("UPDATE archive_copy SET role = 'tier' WHERE file_id = $1 AND store_id = $2", [file.fileId, storeId])
      return true
    }
    const objectKey = await keyFor(db, storeId, file)
    await announceObject(db, storeId, objectKey)
    const sizeBytes = storedBytes(file)
    const source = await this.#source(file, storeId)
    const counted = new Counted()
    await stores.use(storeId, (store) => store.put(objectKey, () => counted.of(source()), sizeBytes, signal))
    const sm3 = counted.digest()
    // Of an encrypted file the digest of the content says nothing about these bytes; it opens with its own key or not at all.
    if (!isEncryptedPath(file.path) && sm3 !== file.sm3) throw new Problem('archive/damaged-file', { sopInstanceUid: file.sopInstanceUid, reason: 'not the content of its row' })
    const back = await stores.use(storeId, async (store) => countAll(await store.open(objectKey, undefined, signal)))
    if (back.sm3 !== sm3 || back.sizeBytes !== sizeBytes) throw new Problem('store/refused', { storeId, reason: 'gives back other bytes than it was given' })
    return db.write((tx) => recordCopy(tx, { fileId: file.fileId, storeId, studyInstanceUid: file.studyInstanceUid, objectKey, sizeBytes, sm3, role }))
  }

  /** The local file, or the bytes of another store where it has left the disk. */
  async #source(file: FileRow, notFrom: string): Promise<() => Readable> {
    const { db, folders, stores } = this.#parts
    for (const name of [path.join(folders.root, file.path), path.join(folders.incoming, `${file.fileId}.part`)]) {
      const found = await stat(name).catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : Promise.reject(error instanceof Error ? error : new Error(String(error)))))
      if (found) return () => createReadStream(name, { highWaterMark: 256 * 1024 })
    }
    const [copy] = (await copiesOfFile(db, file.fileId)).filter((each) => each.storeId !== notFrom && isCurrentCopy(each, file) && stores.has(each.storeId))
    if (!copy) throw new Problem('archive/unknown-instance', { sopInstanceUid: file.sopInstanceUid, reason: 'file lost' })
    const stream = await stores.use(copy.storeId, (store) => store.open(copy.objectKey))
    return () => stream
  }
}
