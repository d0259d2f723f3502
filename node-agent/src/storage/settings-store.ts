import type { Database, Migration, Queries, Transaction } from 'service-kit'
import { S3StoreDraft, StoragePolicy, type EpochMs } from 'specs'

export const storageSettingsMigrations: readonly Migration[] = [
  {
    name: '0001-storage-settings',
    up: [
      'CREATE TABLE storage_policy (archive TEXT PRIMARY KEY, policy TEXT NOT NULL, changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL, reason TEXT NOT NULL)',
      'CREATE TABLE storage_bucket (store_id TEXT PRIMARY KEY, settings TEXT NOT NULL, sealed_secret TEXT NOT NULL, changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL)',
      // Folders that carry their mark: from then on an unmarked one is a disk that is not mounted.
      'CREATE TABLE storage_folder (store_id TEXT NOT NULL, archive TEXT NOT NULL, folder TEXT NOT NULL, PRIMARY KEY (store_id, archive, folder))',
    ],
  },
]

export const BucketSettings = S3StoreDraft.omit({ secretAccessKey: true, reason: true })
export type BucketSettings = ReturnType<(typeof BucketSettings)['parse']>

export const secretContext = (storeId: string): string => `storage-bucket/${storeId}`
/** For whoever changes the vault's key. */
export const sealedBuckets = [{ table: 'storage_bucket', key: 'store_id', column: 'sealed_secret', context: secretContext }]

export interface KeptPolicy {
  readonly policy: StoragePolicy
  readonly changedAt: EpochMs | null
  readonly changedBy: string
}

export async function keptPolicy(db: Queries, archive: string, whenNone: StoragePolicy): Promise<KeptPolicy> {
  const row = await db.get<{ policy: string; changedAt: number; changedBy: string }>('SELECT policy, changed_at AS "changedAt", changed_by AS "changedBy" FROM storage_policy WHERE archive = $1', [archive])
  if (!row) return { policy: whenNone, changedAt: null, changedBy: '' }
  // What a later version adds has its default.
  return { ...row, policy: StoragePolicy.parse({ ...whenNone, ...(JSON.parse(row.policy) as object) }) }
}

export const keepPolicy = (tx: Transaction, archive: string, policy: StoragePolicy, by: { name: string; reason: string }, now: EpochMs): Promise<number> =>
  tx.run(
    `INSERT INTO storage_policy (archive, policy, changed_at, changed_by, reason) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (archive) DO UPDATE SET policy = excluded.policy, changed_at = excluded.changed_at, changed_by = excluded.changed_by, reason = excluded.reason`,
    [archive, JSON.stringify(policy), now, by.name, by.reason],
  )

export interface KeptBucket {
  readonly settings: BucketSettings
  readonly sealedSecret: string
}

export async function keptBuckets(db: Queries): Promise<KeptBucket[]> {
  const rows = await db.all<{ settings: string; sealedSecret: string }>('SELECT settings, sealed_secret AS "sealedSecret" FROM storage_bucket ORDER BY store_id')
  return rows.map(({ settings, sealedSecret }) => ({ settings: BucketSettings.parse(JSON.parse(settings)), sealedSecret }))
}

export const keepBucket = (tx: Transaction, { settings, sealedSecret }: KeptBucket, by: string, now: EpochMs): Promise<number> =>
  tx.run(
    `INSERT INTO storage_bucket (store_id, settings, sealed_secret, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (store_id) DO UPDATE SET settings = excluded.settings, sealed_secret = excluded.sealed_secret, changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
    [settings.storeId, JSON.stringify(settings), sealedSecret, now, by],
  )

export const dropBucket = (tx: Transaction, storeId: string): Promise<number> => tx.run('DELETE FROM storage_bucket WHERE store_id = $1', [storeId])

/** @returns whether this is the first time: then the folder is marked. */
export async function isNewFolder(db: Database, storeId: string, archive: string, folder: string): Promise<boolean> {
  const known = await db.get('SELECT 1 AS "one" FROM storage_folder WHERE store_id = $1 AND archive = $2 AND folder = $3', [storeId, archive, folder])
  return known === undefined
}
export const noteFolder = (db: Database, storeId: string, archive: string, folder: string): Promise<number> =>
  db.run('INSERT INTO storage_folder (store_id, archive, folder) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [storeId, archive, folder])
