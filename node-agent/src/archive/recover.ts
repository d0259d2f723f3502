import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Database, Log } from 'service-kit'
import { destroyFile } from './encryption/destroy-file.ts'
import { placeFile } from './commit-queue.ts'
import type { Folders } from './folders.ts'
import { placeholders } from './index-rows.ts'

/** Each may wait for the disk; the others need not wait for it. */
const unlinkedAtOnce = 16

/**
 * Finishes what a crash interrupted; cheap, because it looks only at what was under way. A file in incoming/ whose row is
 * committed was acknowledged or about to be: it is renamed into place. One without a row was never acknowledged: its
 * sender still has it and sends it again. Files whose rows are deleted are unlinked.
 */
export async function recover(db: Database, folders: Folders, log: Log): Promise<void> {
  let placed = 0
  let dropped = 0
  for (const name of await readdir(folders.incoming)) {
    const file = path.join(folders.incoming, name)
    const row = await db.get<{ path: string }>(
      'SELECT path FROM archive_instance WHERE file_id = $1',
      [name.replace(/\.part$/, '')],
    )
    if (row) {
      await placeFile(folders, file, row.path, await replacedBy(db, folders, row.path))
      placed += 1
    } else {
      await rm(file, { force: true, recursive: true })
      dropped += 1
    }
  }
  // After placing: previous content has to be set aside first.
  await finishUnlinking(db, folders)
  if (placed > 0 || dropped > 0)
    log.warn({ placed, dropped }, 'instances under way at the last stop: placed those with rows, dropped those never acknowledged')
}

/** The trace row of a replacement is committed before the previous file is set aside: the last trace of the path's instance tells where it belongs. */
async function replacedBy(db: Database, folders: Folders, to: string): Promise<{ path: string; keptAs: string } | undefined> {
  const trace = await db.get<{ keptAs: string; previousPath: string }>(
    `SELECT trace.kept_as AS "keptAs", trace.previous_path AS "previousPath" FROM archive_replacement trace JOIN archive_instance instance ON instance.sop_instance_uid = trace.sop_instance_uid
     WHERE instance.path = $1 AND trace.new_sm3 = instance.sm3 ORDER BY trace.replaced_at DESC LIMIT 1`,
    [to],
  )
  const kept = trace && (await readdir(folders.replaced)).includes(path.basename(trace.keptAs))
  // Traces of before the column have none: then both had one path.
  return trace && !kept ? { path: trace.previousPath || to, keptAs: trace.keptAs } : undefined
}

/** Unlinks files whose rows are gone, then forgets them. Of an encrypted file the key goes first: what the disk keeps of the rest is noise. */
export async function finishUnlinking(db: Database, folders: Folders): Promise<void> {
  const names = (await db.all<{ path: string }>('SELECT path FROM archive_unlink')).map((row) => row.path)
  for (let from = 0; from < names.length; from += unlinkedAtOnce) {
    const part = names.slice(from, from + unlinkedAtOnce)
    await Promise.all(part.map((name) => destroyFile(path.join(folders.root, name))))
    await db.run(`DELETE FROM archive_unlink WHERE path IN (${placeholders(part.length)})`, part)
  }
}
