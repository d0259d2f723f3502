import type { Trail } from 'service-kit'
import { Compressor } from '../archive/compression/compressor.ts'
import { compressionMigrations } from '../archive/compression/tables.ts'
import type { Ground } from './ground.ts'

/** What keeps the hospital's own images smaller (ARC-14); studies of other hospitals stay as their owners sent them. */
export async function openCompression({ db, log, hospitalId, codecs, inHospital }: Ground, { audit }: { readonly audit: Trail }): Promise<Compressor> {
  await db.migrate('compression', compressionMigrations)
  return new Compressor({ db, log, audit, hospitalId, codecs, archive: inHospital })
}
