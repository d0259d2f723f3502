import { open } from 'node:fs/promises'
import path from 'node:path'
import { isProblem } from 'specs'
import { codeOf } from '../storage-problem.ts'
import type { ConversionParts } from './conversion.ts'
import { readFully } from './encrypted-input.ts'
import { writeFully } from './encrypted-output.ts'
import { ENCRYPTED, HEADER_BYTES } from './file-form.ts'

const PAGE = 200
const AT_ONCE = 8

/**
 * Wraps the keys of encrypted files under the vault's key of today; of each file 512 bytes are written, its content stays. Files keep their
 * time of change, so that backups do not take them anew: in the copies they have, the key is wrapped as before, which opens just as well.
 *
 * @throws {Problem} archive/wrong-key
 */
export async function rewrapArchive({ db, folders, encryption, signal }: ConversionParts): Promise<{ rewrapped: number; current: number; damaged: string[] }> {
  const result = { rewrapped: 0, current: 0, damaged: [] as string[] }
  let after = ''
  while (!signal?.aborted) {
    const rows = await db.all<{ path: string; id: string }>(
      `SELECT path, id FROM (SELECT path, file_id AS id FROM archive_instance UNION ALL SELECT kept_as AS path, substr(kept_as, 10, 36) AS id FROM archive_replacement) files
       WHERE path > $1 AND path LIKE '%${ENCRYPTED}' ORDER BY path LIMIT ${PAGE}`,
      [after],
    )
    if (rows.length === 0) break
    after = rows.at(-1)!.path
    for (let from = 0; from < rows.length; from += AT_ONCE) {
      const part = rows.slice(from, from + AT_ONCE)
      for (const [index, outcome] of (await Promise.all(part.map((row) => rewrapFile(path.join(folders.root, row.path), row.id)))).entries()) {
        if (outcome === 'damaged') result.damaged.push(part[index]!.path)
        else result[outcome] += 1
      }
    }
  }
  return result

  async function rewrapFile(file: string, id: string): Promise<'rewrapped' | 'current' | 'damaged'> {
    try {
      const handle = await open(file, 'r+')
      try {
        const header = new Uint8Array(HEADER_BYTES)
        await readFully(handle, header, 0)
        const anew = encryption.keys.rewrap(header, id)
        if (!anew) return 'current'
        const { atime, mtime } = await handle.stat()
        await writeFully(handle, anew.slot, anew.at)
        await handle.utimes(atime, mtime)
        await handle.datasync()
        return 'rewrapped'
      } finally {
        await handle.close()
      }
    } catch (error) {
      // Replaced, deleted or converted since; or not ours to mend.
      if (codeOf(error) === 'ENOENT') return 'current'
      if (isProblem(error) && error.code === 'archive/damaged-file') return 'damaged'
      throw error
    }
  }
}
