import type { Database } from 'service-kit'
import { Problem } from 'specs'
import type { FileEncryption } from './file-encryption.ts'

const NAME = 'files'

/**
 * Notices a missing or other key when an archive opens, and not when a doctor opens an image. A value that only the right key opens lies in
 * the archive's database from its first encrypted file on.
 *
 * @param encrypts the archive is about to write encrypted files. @throws {Problem} archive/wrong-key
 */
export async function requireRightKey(db: Database, encryption: FileEncryption | undefined, encrypts: boolean): Promise<void> {
  const kept = await db.get<{ sealed: string }>('SELECT sealed FROM archive_key_check WHERE name = $1', [NAME])
  if (!encryption) {
    if (kept || encrypts) throw new Problem('archive/wrong-key', { reason: 'no vault' })
    return
  }
  if (kept) return encryption.keys.check(kept.sealed)
  if (encrypts) await db.run('INSERT INTO archive_key_check (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING', [NAME, encryption.keys.checkValue()])
}
