import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { createSm3 } from 'pki'
import type { Database } from 'service-kit'
import type { SopInstanceUid } from 'specs'
import type { ArchiveCheck } from './archive.ts'
import { codeOf } from './commit-queue.ts'
import { reservedFolders, type Folders } from './folders.ts'

const portion = 1_000

interface CheckedRow {
  sopInstanceUid: SopInstanceUid
  path: string
  sizeBytes: number
  sm3: string
  missing: number
}

/**
 * Compares rows with files, in portions, so that archives of any size can be checked while they work. Instances whose file
 * is lost are marked: when they are sent again they are stored, not taken for duplicates (ARC-22).
 */
export async function checkArchive(db: Database, folders: Folders, digests: boolean): Promise<ArchiveCheck> {
  const found = { missing: [] as SopInstanceUid[], wrongSize: [] as SopInstanceUid[], wrongDigest: [] as SopInstanceUid[] }
  let checkedInstances = 0
  let after = ''
  for (;;) {
    const rows = await db.all<CheckedRow>(
      `SELECT sop_instance_uid AS "sopInstanceUid", path, size_bytes AS "sizeBytes", sm3, missing FROM archive_instance
       WHERE sop_instance_uid > $1 ORDER BY sop_instance_uid LIMIT ${portion}`,
      [after],
    )
    for (const row of rows) {
      const state = await stateOf(path.join(folders.root, row.path), row, digests)
      if (state !== 'sound') found[state].push(row.sopInstanceUid)
      const lost = state === 'sound' ? 0 : 1
      if (row.missing !== lost)
        await db.run('UPDATE archive_instance SET missing = $1 WHERE sop_instance_uid = $2 AND path = $3', [
          lost,
          row.sopInstanceUid,
          row.path,
        ])
    }
    checkedInstances += rows.length
    after = rows.at(-1)?.sopInstanceUid ?? ''
    if (rows.length < portion) break
  }
  return { checkedInstances, ...found, orphans: await orphans(db, folders) }
}

async function stateOf(file: string, row: CheckedRow, digests: boolean): Promise<'sound' | 'missing' | 'wrongSize' | 'wrongDigest'> {
  try {
    if ((await stat(file)).size !== row.sizeBytes) return 'wrongSize'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'missing'
    throw error
  }
  return digests && (await digestOf(file)) !== row.sm3 ? 'wrongDigest' : 'sound'
}

async function digestOf(file: string): Promise<string> {
  const sm3 = createSm3()
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) sm3.update(chunk as Uint8Array)
  return sm3.digestHex()
}

async function orphans(db: Database, folders: Folders): Promise<string[]> {
  const lost: string[] = []
  const batch: string[] = []
  const sift = async () => {
    const names = batch.splice(0)
    if (names.length === 0) return
    const rows = await db.all<{ path: string }>(
      `SELECT path FROM archive_instance WHERE path IN (${names.map((_name, index) => `$${index + 1}`).join(', ')})`,
      names,
    )
    const known = new Set(rows.map((row) => row.path))
    lost.push(...names.filter((name) => !known.has(name)))
  }
  for await (const name of filesBelow(folders.root, '')) {
    batch.push(name)
    if (batch.length >= 500) await sift()
  }
  await sift()
  return lost
}

async function* filesBelow(root: string, folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(path.join(root, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (folder === '' && reservedFolders.includes(name)) continue
    if (entry.isDirectory()) yield* filesBelow(root, name)
    else yield name
  }
}
