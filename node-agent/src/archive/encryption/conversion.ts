import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSm3, randomBytes } from 'pki'
import type { Database, Transaction } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { digestOf } from '../check.ts'
import { syncFolder } from '../commit-queue.ts'
import type { Folders } from '../folders.ts'
import { placeholders } from '../index-rows.ts'
import { codeOf } from '../storage-problem.ts'
import { ConversionLease } from './conversion-lease.ts'
import { destroyFile } from './destroy-file.ts'
import { decrypted } from './encrypted-input.ts'
import { EncryptedOutput, writeFully } from './encrypted-output.ts'
import type { EncryptionMode, FileEncryption } from './file-encryption.ts'
import { ENCRYPTED, isEncryptedPath } from './file-form.ts'
import { requireRightKey } from './key-check.ts'

export interface ConversionParts {
  readonly db: Database
  readonly folders: Folders
  readonly encryption: FileEncryption
  readonly onProgress?: (done: ConversionResult) => void
  readonly signal?: AbortSignal
  /** How long a file of the former form stays for whoever has just found it; 2,000 unless told. */
  readonly graceMs?: number
  /** See ConversionLease. */
  readonly leaseMs?: number
}

export interface ConversionResult {
  readonly converted: number
  readonly sizeBytes: number
  /** Paths of files that were left as they are: lost, or not what their digest says. */
  readonly damaged: readonly string[]
}

/** A file that a row names, and what its content must be. */
interface Named {
  readonly table: 'archive_instance' | 'archive_replacement'
  readonly rowId: string
  readonly path: string
  readonly fileId: string
  readonly sm3: string
}

interface Converted extends Named {
  readonly to: string
  readonly sizeBytes: number
}

const BATCH = 32
const REMOVALS_BEHIND = 8
const PLACING_MS = 500
const AT_ONCE = 2

/**
 * Gives the stored files of an archive the other form, while the node runs or not. Each new file lies beside the old one under a name that
 * nobody else uses, whole and compared with its digest, before the row is pointed at it; only then the old one goes. Killed at any moment,
 * every row names a whole file; what is left over stands in `archive_conversion`, and the next run removes it and goes on.
 *
 * @throws {Problem} archive/converting, archive/wrong-key
 */
export async function convertArchive(parts: ConversionParts, to: EncryptionMode): Promise<ConversionResult> {
  const { db, encryption, folders, signal, onProgress, graceMs = 2_000 } = parts
  await requireRightKey(db, encryption, to === 'sm4')
  const lease = await ConversionLease.take(db, parts.leaseMs)
  const result = { converted: 0, sizeBytes: 0, damaged: [] as string[] }
  const removals: Promise<void>[] = []
  try {
    await removeLeftOver(parts)
    for (const table of ['archive_instance', 'archive_replacement'] as const) {
      let after = ''
      while (!signal?.aborted) {
        const files = await namedFiles(db, table, to, after)
        after = files.at(-1)?.rowId ?? ''
        if (files.length === 0) break
        const made = await convertBatch(parts, lease, files, to, result.damaged)
        result.converted += made.length
        result.sizeBytes += made.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
        onProgress?.(result)
        // Beside the next batches: they need not wait until nobody reads the former files any more.
        const removal = sleep(graceMs).then(() => removeUnnamed(parts, made.map((file) => file.path)))
        removal.catch(() => undefined) // thrown when it is waited for
        removals.push(removal)
        if (removals.length > REMOVALS_BEHIND) await removals.shift()
      }
    }
    if (!signal?.aborted) await convertFailed(folders, encryption, to)
    if (!signal?.aborted) await dropMetadata(folders, to)
    await Promise.all(removals)
    return result
  } finally {
    await Promise.allSettled(removals)
    await lease.release()
  }
}

async function namedFiles(db: Database, table: Named['table'], to: EncryptionMode, after: string): Promise<Named[]> {
  const otherForm = (column: string) => `${column} ${to === 'sm4' ? 'NOT LIKE' : 'LIKE'} '%${ENCRYPTED}'`
  if (table === 'archive_instance')
    return db.all<Named>(
      `SELECT 'archive_instance' AS "table", sop_instance_uid AS "rowId", path, file_id AS "fileId", sm3 FROM archive_instance
       WHERE sop_instance_uid > $1 AND ${otherForm('path')} AND file_id NOT IN (SELECT file_id FROM archive_away) ORDER BY sop_instance_uid LIMIT ${BATCH}`,
      [after],
    )
  const rows = await db.all<Omit<Named, 'fileId'>>(
    `SELECT 'archive_replacement' AS "table", replacement_id AS "rowId", kept_as AS "path", previous_sm3 AS "sm3" FROM archive_replacement
     WHERE replacement_id > $1 AND ${otherForm('kept_as')} ORDER BY replacement_id LIMIT ${BATCH}`,
    [after],
  )
  return rows.map((row) => ({ ...row, fileId: fileIdOf(row.path) }))
}

/** Files in replaced/ and failed/ are named by it. */
const fileIdOf = (name: string): string => path.basename(name).slice(0, 36)

async function convertBatch(parts: ConversionParts, lease: ConversionLease, files: readonly Named[], to: EncryptionMode, damaged: string[]): Promise<Converted[]> {
  const { db } = parts
  const wanted = files.map((file) => ({ ...file, to: otherName(file, to) }))
  // Named before it exists: whatever stops us, the next run knows what to remove.
  await db.write(async (tx) => {
    await lease.require(tx)
    for (const { to: name } of wanted) await remember(tx, name)
  })
  const made: Converted[] = []
  const waiting = [...wanted]
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      // A file whose row has just been committed may be on its way to its place.
      const sizeBytes = (await makeFile(parts, file, to)) ?? (await sleep(PLACING_MS).then(() => makeFile(parts, file, to)))
      if (sizeBytes === undefined) damaged.push(file.path)
      else made.push({ ...file, sizeBytes })
    }
  }
  // All come to an end, so that nothing is made any more when the lease is given back.
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  for (const each of ended) if (each.status === 'rejected') throw each.reason
  for (const folder of new Set(made.map((file) => path.dirname(path.join(parts.folders.root, file.to))))) await syncFolder(folder)
  const lost = await db.write(async (tx) => {
    await lease.require(tx)
    return pointRows(tx, made)
  })
  const failed = wanted.filter((file) => !made.some((each) => each.to === file.to))
  await removeUnnamed(parts, [...lost, ...failed].map((file) => file.to))
  return made.filter((file) => !lost.includes(file))
}

/** @returns those whose row meanwhile names another file, or none: somebody replaced or deleted the instance. */
async function pointRows(tx: Transaction, made: readonly Converted[]): Promise<Converted[]> {
  const lost: Converted[] = []
  for (const file of made) {
    const changes =
      file.table === 'archive_instance'
        ? await tx.run('UPDATE archive_instance SET path = $1 WHERE sop_instance_uid = $2 AND path = $3 AND file_id = $4', [file.to, file.rowId, file.path, file.fileId])
        : await tx.run('UPDATE archive_replacement SET kept_as = $1 WHERE replacement_id = $2 AND kept_as = $3', [file.to, file.rowId, file.path])
    if (changes === 0) {
      lost.push(file)
      continue
    }
    await tx.run('DELETE FROM archive_conversion WHERE path = $1', [file.to])
    await remember(tx, file.path)
  }
  return lost
}

const remember = (tx: Transaction, name: string) => tx.run('INSERT INTO archive_conversion (path) VALUES ($1) ON CONFLICT (path) DO NOTHING', [name])

/** In replaced/ by its file id, which no two files share; elsewhere marked, so that no instance that arrives meanwhile is given the same name. */
function otherName({ table, path: name, fileId }: Named, to: EncryptionMode): string {
  const ending = to === 'sm4' ? ENCRYPTED : ''
  if (table === 'archive_replacement') return `replaced/${fileId}.dcm${ending}`
  const mark = Buffer.from(randomBytes(4)).toString('hex')
  return `${name.replace(/\.sm4$/, '').replace(/\.c[0-9a-f]{8}$/, '')}.c${mark}${ending}`
}

/** @returns the number of plain bytes; undefined when the old file is lost or not what its digest says: it stays, and nothing is made. */
async function makeFile({ folders, encryption }: ConversionParts, { path: from, fileId, sm3, to: name }: Named & { to: string }, to: EncryptionMode): Promise<number | undefined> {
  const [source, target] = [path.join(folders.root, from), path.join(folders.root, name)]
  try {
    const { digest, sizeBytes } = await copy(encryption, source, `${target}.new`, fileId, to)
    // Read back as it will be read: the old one goes only if the new one gives the same bytes.
    if (digest !== sm3 || (await digestOf(contentOf(encryption, `${target}.new`, fileId, to))) !== sm3) {
      await rm(`${target}.new`, { force: true })
      return undefined
    }
    await rename(`${target}.new`, target)
    return sizeBytes
  } catch (error) {
    await rm(`${target}.new`, { force: true })
    if (codeOf(error) === 'ENOENT' || (isProblem(error) && error.code === 'archive/damaged-file')) return undefined
    throw error
  }
}

const contentOf = (encryption: FileEncryption, file: string, fileId: string, form: EncryptionMode) =>
  form === 'sm4' ? decrypted(encryption, file, fileId) : createReadStream(file, { highWaterMark: 256 * 1024 })

async function copy(encryption: FileEncryption, source: string, target: string, fileId: string, to: EncryptionMode): Promise<{ digest: string; sizeBytes: number }> {
  const sm3 = createSm3()
  let sizeBytes = 0
  const handle = await open(target, 'w', 0o640)
  try {
    const output = to === 'sm4' ? new EncryptedOutput(handle, encryption, fileId) : undefined
    for await (const chunk of contentOf(encryption, source, fileId, isEncryptedPath(source) ? 'sm4' : 'none')) {
      const bytes = chunk as Uint8Array
      sm3.update(bytes)
      if (output) await output.write([bytes], bytes.length)
      else await writeFully(handle, bytes, sizeBytes)
      sizeBytes += bytes.length
    }
    await output?.end()
    await handle.datasync()
  } finally {
    await handle.close()
  }
  return { digest: sm3.digestHex(), sizeBytes }
}

/** Instances that wait in failed/ have no rows: their name says which form it is, and one form is whole at every moment. */
async function convertFailed(folders: Folders, encryption: FileEncryption, to: EncryptionMode): Promise<void> {
  for (const name of await readdir(folders.failed)) {
    const source = path.join(folders.failed, name)
    if (name.endsWith('.json') || name.endsWith('.new') || isEncryptedPath(name) === (to === 'sm4')) continue
    const target = to === 'sm4' ? source + ENCRYPTED : source.slice(0, -ENCRYPTED.length)
    const { digest } = await copy(encryption, source, `${target}.new`, fileIdOf(name), to)
    if ((await digestOf(contentOf(encryption, `${target}.new`, fileIdOf(name), to))) !== digest) throw new Problem('archive/damaged-file', { file: name })
    await rename(`${target}.new`, target)
    await syncFolder(folders.failed)
    await destroyFile(source)
  }
}

/** Metadata are made again when somebody asks; those of the other form are no use to anybody. */
async function dropMetadata(folders: Folders, to: EncryptionMode): Promise<void> {
  for (const study of await readdir(folders.metadata))
    for (const name of await readdir(path.join(folders.metadata, study)))
      if (isEncryptedPath(name) !== (to === 'sm4')) await rm(path.join(folders.metadata, study, name), { force: true })
}

/** What an earlier run was about when it was stopped. */
async function removeLeftOver(parts: ConversionParts): Promise<void> {
  for (;;) {
    const names = (await parts.db.all<{ path: string }>(`SELECT path FROM archive_conversion LIMIT ${BATCH}`)).map((row) => row.path)
    if (names.length === 0) return
    await removeUnnamed(parts, names)
  }
}

/**
 * Removes files that no row names, inside a transaction that keeps others from naming them: an instance that arrives may be given the old
 * name of a converted one.
 */
async function removeUnnamed({ db, folders }: ConversionParts, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await db.write(async (tx) => {
    // SQLite has one writer, and that is us.
    if (db.dialect === 'postgres') await tx.run('LOCK TABLE archive_instance, archive_replacement IN SHARE ROW EXCLUSIVE MODE')
    const list = placeholders(names.length)
    const named = await tx.all<{ path: string }>(
      `SELECT path FROM archive_instance WHERE path IN (${list}) UNION ALL SELECT kept_as AS "path" FROM archive_replacement WHERE kept_as IN (${list})`,
      names,
    )
    const wanted = new Set(named.map((row) => row.path))
    for (const name of names.filter((each) => !wanted.has(each))) {
      await destroyFile(path.join(folders.root, name))
      await rm(path.join(folders.root, `${name}.new`), { force: true })
    }
    await tx.run(`DELETE FROM archive_conversion WHERE path IN (${list})`, names)
  })
}
