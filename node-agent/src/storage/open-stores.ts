import { mkdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import type { Database, Log, Vault } from 'service-kit'
import type { HospitalId } from 'specs'
import type { ArchiveName } from '../archive/archive.ts'
import { FolderStore } from '../archive/storage/folder-store.ts'
import type { ImageStore } from '../archive/storage/image-store.ts'
import type { OutboundGate } from '../archive/storage/s3-request.ts'
import { S3Store } from '../archive/storage/s3-store.ts'
import { isNewFolder, keptBuckets, noteFolder, secretContext, type BucketSettings } from './settings-store.ts'
import type { StoreConfig } from './store-config.ts'

export interface OpenStoresParts {
  readonly db: Database
  readonly vault: Pick<Vault, 'open'>
  readonly outbound: OutboundGate
  readonly hospitalId: HospitalId
  readonly configured: readonly StoreConfig[]
  readonly log: Log
}

const PART_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 30_000

/** Every archive has its own part of a store: nothing of the hospital's lies among what belongs to others (FED-33). */
export async function openStores(parts: OpenStoresParts, archive: ArchiveName): Promise<ImageStore[]> {
  const stores: ImageStore[] = []
  for (const config of parts.configured) {
    if (config.kind === 'folder') stores.push(await openFolder(parts, config, archive))
    else {
      const secret = config.secretKeyFile !== undefined ? (await readFile(config.secretKeyFile, 'utf8')).trim() : (process.env[config.secretKeyEnv ?? ''] ?? '')
      const caPem = config.caFile === undefined ? '' : await readFile(config.caFile, 'utf8')
      const { id, serverSideEncryption = '', ...rest } = config
      stores.push(openBucket(parts, { ...rest, storeId: id, caPem, serverSideEncryption }, secret, archive))
    }
  }
  for (const { settings, sealedSecret } of await keptBuckets(parts.db)) stores.push(openBucket(parts, settings, parts.vault.open(sealedSecret, secretContext(settings.storeId)), archive))
  return stores
}

export function openBucket({ outbound, hospitalId }: Pick<OpenStoresParts, 'outbound' | 'hospitalId'>, bucket: BucketSettings, secretAccessKey: string, archive: ArchiveName): S3Store {
  const prefix = [bucket.prefix.replace(/^\/+|\/+$/g, ''), hospitalId, archive].filter((part) => part !== '').join('/')
  return new S3Store(
    bucket.storeId,
    {
      endpoint: bucket.endpoint, region: bucket.region, bucket: bucket.bucket, pathStyle: bucket.pathStyle, prefix: `${prefix}/`,
      credentials: { accessKeyId: bucket.accessKeyId, secretAccessKey },
      ca: bucket.caPem === '' ? undefined : bucket.caPem,
      serverSideEncryption: bucket.serverSideEncryption === '' ? undefined : bucket.serverSideEncryption,
      timeoutMs: TIMEOUT_MS, retries: 2, retryMs: 300, partBytes: PART_BYTES,
    },
    outbound,
  ) // prettier-ignore
}

/** The mark is put once, when the folder is first named; a disk that is missing then is tried again at the next start. */
async function openFolder({ db, log }: OpenStoresParts, { id, folder }: Extract<StoreConfig, { kind: 'folder' }>, archive: ArchiveName): Promise<FolderStore> {
  const place = path.join(folder, archive)
  const store = new FolderStore(id, place)
  if (!(await isNewFolder(db, id, archive, place))) return store
  try {
    await stat(folder)
    await mkdir(place, { recursive: true, mode: 0o750 })
    await store.mark()
    await noteFolder(db, id, archive, place)
  } catch (error) {
    log.error({ err: error, storeId: id }, 'the folder of a store is not there')
  }
  return store
}
