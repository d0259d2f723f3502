import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sm3Hex } from 'pki'
import { openDatabase } from 'service-kit'
import type { Region } from '../../scripts/region/region.ts'

export interface KeptInstance {
  readonly sopInstanceUid: string
  readonly studyInstanceUid: string
  /** As the archive's index says. */
  readonly indexedSm3: string
  /** Of the file as it lies on the disk now. */
  readonly fileSm3: string
}

export interface ArchiveContent {
  readonly instances: readonly KeptInstance[]
  /** Times that an instance was offered which was there already. */
  readonly duplicates: number
  /** Instances whose bytes another delivery has replaced. */
  readonly replacements: number
}

/** How many instances an archive's index holds; cheap enough to ask again and again. */
export async function countInstances(region: Region, hospitalId: string, name: 'in-hospital' | 'regional'): Promise<number> {
  const db = await openDatabase({ dialect: 'sqlite', file: join(region.dir, hospitalId, 'data', `archive-${name}.sqlite`) })
  try {
    return Number((await db.get<{ n: number }>('SELECT COUNT(*) AS "n" FROM archive_instance'))?.n)
  } finally {
    await db.close()
  }
}

/** What one of a node's two archives holds, read from its index and its files without asking the node. */
export async function archiveContent(region: Region, hospitalId: string, name: 'in-hospital' | 'regional', studies: ReadonlySet<string>): Promise<ArchiveContent> {
  const data = join(region.dir, hospitalId, 'data')
  const db = await openDatabase({ dialect: 'sqlite', file: join(data, `archive-${name}.sqlite`) })
  try {
    const rows = await db.all<{ sopInstanceUid: string; studyInstanceUid: string; sm3: string; path: string }>(
      'SELECT sop_instance_uid AS "sopInstanceUid", study_instance_uid AS "studyInstanceUid", sm3, path FROM archive_instance ORDER BY sop_instance_uid',
    )
    const instances = rows
      .filter(({ studyInstanceUid }) => studies.has(studyInstanceUid))
      .map(({ sm3, path, ...instance }) => ({ ...instance, indexedSm3: sm3, fileSm3: sm3Hex(readFileSync(join(data, `archive-${name}`, path))) }))
    const duplicates = await db.get<{ n: number }>('SELECT COALESCE(SUM(duplicate_count), 0) AS "n" FROM archive_study')
    const replacements = await db.get<{ n: number }>('SELECT COUNT(*) AS "n" FROM archive_replacement')
    return { instances, duplicates: Number(duplicates?.n), replacements: Number(replacements?.n) }
  } finally {
    await db.close()
  }
}
