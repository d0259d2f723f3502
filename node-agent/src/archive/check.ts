import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { createReadStream } from 'node:fs'
import { createSm3 } from 'pki'
import type { Database } from 'service-kit'
import { isProblem, Problem, type SopInstanceUid } from 'specs'
import type { ArchiveCheck } from './archive.ts'
import { decrypted } from './encryption/encrypted-input.ts'
import { isEncryptedPath, type FileEncryption } from './encryption/file-encryption.ts'
import { HEADER_BYTES } from './encryption/file-form.ts'
import { codeOf } from './storage-problem.ts'
import { placeholders } from './index-rows.ts'
import { reservedFolders, type Folders } from './folders.ts'

const portion = 1_000

interface CheckedRow {
  sopInstanceUid: SopInstanceUid
  path: string
  fileId: string
  sizeBytes: number
  sm3: string
  missing: number
  /** Left the disk on purpose: its copies are looked at by storage/integrity.ts. */
  away: number
}

/** Runs while nothing is being put in place or deleted. */
export type Exclusively = <T>(work: () => Promise<T>) => Promise<T>
export interface CheckParts {
  readonly db: Database
  readonly folders: Folders
  /** Encrypted files are compared in clear: the digest is the content's, whichever form it has on the disk. */
  readonly encryption: FileEncryption | undefined
}
type State = 'sound' | 'missing' | 'wrongSize' | 'wrongDigest'

/**
 * Compares rows with files, in portions, so that archives of any size can be checked while they work. Instances whose file
 * is lost are marked: when they are sent again they are stored, not taken for duplicates (ARC-22).
 *
 * @throws {Problem} archive/wrong-key, when encrypted files are to be read and the key is another one; nothing is marked for that.
 */
export async function checkArchive(parts: CheckParts, digests: boolean, exclusively: Exclusively): Promise<ArchiveCheck> {
  const { db, folders } = parts
  const found = { missing: [] as SopInstanceUid[], wrongSize: [] as SopInstanceUid[], wrongDigest: [] as SopInstanceUid[] }
  let checkedInstances = 0
  let after = ''
  for (;;) {
    const rows = await db.all<CheckedRow>(`${selectChecked} WHERE sop_instance_uid > $1 ORDER BY sop_instance_uid LIMIT ${portion}`, [
      after,
    ])
    for (const row of rows) {
      const first = await stateOf(parts, row, digests)
      if (first === 'sound' && row.missing === 0) continue
      // It may have been on its way to its place, or being deleted: only what is wrong in peace is wrong.
      const state = await exclusively(() => judge(parts, row.sopInstanceUid, digests))
      if (state !== 'sound') found[state].push(row.sopInstanceUid)
    }
    checkedInstances += rows.length
    after = rows.at(-1)?.sopInstanceUid ?? ''
    if (rows.length < portion) break
  }
  const suspects = await unlisted(db, filesBelow(folders.root, ''))
  return {
    checkedInstances,
    ...found,
    orphans: suspects.length === 0 ? [] : await exclusively(() => unlisted(db, stillThere(folders, suspects))),
  }
}

const selectChecked = `SELECT sop_instance_uid AS "sopInstanceUid", path, file_id AS "fileId", size_bytes AS "sizeBytes", sm3, missing,
  CASE WHEN EXISTS (SELECT 1 FROM archive_away away WHERE away.file_id = archive_instance.file_id) THEN 1 ELSE 0 END AS "away" FROM archive_instance`

async function judge(parts: CheckParts, sopInstanceUid: string, digests: boolean): Promise<State> {
  const { db } = parts
  const row = await db.get<CheckedRow>(`${selectChecked} WHERE sop_instance_uid = $1`, [sopInstanceUid])
  if (!row) return 'sound'
  const state = await stateOf(parts, row, digests)
  const lost = state === 'sound' ? 0 : 1
  if (row.missing !== lost) await db.run('UPDATE archive_instance SET missing = $1 WHERE sop_instance_uid = $2', [lost, sopInstanceUid])
  return state
}

async function stateOf({ folders, encryption }: CheckParts, row: CheckedRow, digests: boolean): Promise<State> {
  const file = path.join(folders.root, row.path)
  const encrypted = isEncryptedPath(row.path)
  try {
    if ((await stat(file)).size !== row.sizeBytes + (encrypted ? HEADER_BYTES : 0)) return 'wrongSize'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return row.away === 1 ? 'sound' : 'missing'
    throw error
  }
  if (!digests) return 'sound'
  if (!encrypted) return (await digestOf(createReadStream(file, { highWaterMark: 1024 * 1024 }))) === row.sm3 ? 'sound' : 'wrongDigest'
  if (!encryption) throw new Problem('archive/wrong-key', { sopInstanceUid: row.sopInstanceUid, reason: 'no vault' })
  try {
    return (await digestOf(decrypted(encryption, file, row.fileId))) === row.sm3 ? 'sound' : 'wrongDigest'
  } catch (error) {
    if (isProblem(error) && error.code === 'archive/damaged-file') return 'wrongDigest'
    throw error
  }
}

export async function digestOf(content: Readable): Promise<string> {
  const sm3 = createSm3()
  for await (const chunk of content) sm3.update(chunk as Uint8Array)
  return sm3.digestHex()
}

/** Those of the files that no row names. */
async function unlisted(db: Database, files: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = []
  let names: string[] = []
  const sift = async () => {
    if (names.length === 0) return
    const known = placeholders(names.length)
    // What a conversion is about is nobody's fault: it is a row's file soon, or removed.
    const rows = await db.all<{ path: string }>(
      `SELECT path FROM archive_instance WHERE path IN (${known}) UNION ALL SELECT path FROM archive_conversion WHERE path IN (${known})`,
      names,
    )
    const listed = new Set(rows.map((row) => row.path))
    found.push(...names.filter((name) => !listed.has(name)))
    names = []
  }
  for await (const name of files) if (names.push(name) >= 500) await sift()
  await sift()
  return found
}

async function* stillThere(folders: Folders, names: readonly string[]): AsyncGenerator<string> {
  for (const name of names) {
    const there = await stat(path.join(folders.root, name)).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    })
    if (there) yield name
  }
}

async function* filesBelow(root: string, folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(path.join(root, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (folder === '' && reservedFolders.includes(name)) continue
    if (entry.isDirectory()) yield* filesBelow(root, name)
    else yield name
  }
}
