import { type Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { createSm3 } from 'pki'
import { Problem } from 'specs'
import type { DatabaseConfig } from '../database/index.ts'
import { checkSqlite, dumpSchema, restoreSchema, snapshotSqlite } from './databases.ts'
import { writeWhole, type BackupFile, type BackupManifest, type BackupRepository } from './repository.ts'

/** What one service keeps. */
export interface BackupSource {
  readonly service: string
  readonly folder: string
  readonly databases: readonly DatabaseConfig[]
  /** Paths below the folder that are not worth keeping, or must not be: the vault's key. */
  readonly skip: readonly string[]
  /** The vault's key file, if the backup shall hold it. */
  readonly vaultKey?: string
}

const STAGING = '.backup-'

type Told = (message: string) => void

/**
 * A backup of a running service. Each database is taken as it was at one moment, and before the files: a file that comes later is one too
 * many, which archives put right at their start; one too few would be an image lost.
 */
export async function createBackup(repository: BackupRepository, source: BackupSource, tell: Told = () => undefined): Promise<BackupManifest> {
  const at = Date.now()
  const [before] = (await repository.list()).filter(({ service }) => service === source.service)
  const known = new Map((before?.files ?? []).map((file) => [file.path, file]))
  // Beside the data: what lies there in clear for a moment is not better protected elsewhere.
  const staging = await mkdtemp(join(source.folder, STAGING))
  let newBytes = 0
  const keep = async (file: string, path: string): Promise<BackupFile> => {
    const { size: sizeBytes, mtimeMs: modifiedAt } = await stat(file)
    const same = known.get(path)
    if (same?.sizeBytes === sizeBytes && same.modifiedAt === modifiedAt && (await repository.has(same.blob))) return same
    const sm3 = await digestOf(file)
    const blob = repository.blobOf(sm3)
    if (!(await repository.has(blob))) {
      await repository.put(blob, createReadStream(file))
      newBytes += sizeBytes
    }
    return { path, sizeBytes, modifiedAt, sm3, blob }
  }
  try {
    const files: BackupFile[] = []
    const dumps: BackupManifest['dumps'] = []
    const databaseFiles = new Set<string>()
    for (const config of source.databases) {
      const copy = join(staging, randomUUID())
      if (config.dialect === 'sqlite') {
        for (const ending of ['', '-wal', '-shm', '-journal']) databaseFiles.add(config.file + ending)
        await snapshotSqlite(config.file, copy)
        const path = relative(source.folder, config.file)
        files.push({ ...(await keep(copy, path.startsWith('..') ? `outside/${basename(config.file)}` : slashed(path))), modifiedAt: at })
      } else {
        await dumpSchema(config, copy)
        dumps.push({ ...(await keep(copy, `${config.schema ?? 'public'}.dump`)), schema: config.schema ?? 'public' })
      }
      await rm(copy, { force: true })
      tell(`database ${config.dialect === 'sqlite' ? basename(config.file) : (config.schema ?? 'public')}`)
    }
    const skip = new Set([staging, ...source.skip.map((path) => join(source.folder, path)), ...databaseFiles])
    for await (const file of filesBelow(source.folder, skip)) files.push(await keep(file, slashed(relative(source.folder, file))).catch(gone))
    if (source.vaultKey !== undefined) files.push(await keep(source.vaultKey, slashed(relative(source.folder, source.vaultKey))))
    const kept = files.filter((file) => file.blob !== '')
    const id = `${new Date(at).toISOString().replace(/[-:.]/g, '').slice(0, 15)}-${source.service}-${randomUUID().slice(0, 8)}`
    const manifest: BackupManifest = { v: 1, id, service: source.service, at, tookMs: Date.now() - at, files: kept, dumps, newBytes, hasVaultKey: source.vaultKey !== undefined }
    await repository.save(manifest)
    return manifest
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/** Reads every piece and compares it with its digest. @throws {Problem} backup/damaged naming the file. */
export async function verifyBackup(repository: BackupRepository, { files, dumps }: BackupManifest): Promise<{ files: number; sizeBytes: number }> {
  let sizeBytes = 0
  for (const file of [...files, ...dumps]) {
    for await (const chunk of checked(repository, file)) sizeBytes += chunk.length
  }
  return { files: files.length + dumps.length, sizeBytes }
}

/**
 * Onto an empty folder. Databases on PostgreSQL come back into the schemas of `databases`, which must be empty.
 * @throws {Problem} backup/not-empty, backup/damaged; then the folder is not used.
 */
export async function restoreBackup(
  repository: BackupRepository,
  manifest: BackupManifest,
  { folder: to, databases = [] }: { folder: string; databases?: readonly DatabaseConfig[] },
  tell: Told = () => undefined,
): Promise<{ files: number; sizeBytes: number; tookMs: number }> {
  const began = Date.now()
  const folder = resolve(to)
  if ((await readdir(folder).catch(() => [])).length > 0) throw new Problem('backup/not-empty', { folder })
  let sizeBytes = 0
  for (const file of manifest.files) {
    const target = join(folder, ...file.path.split('/'))
    if (!target.startsWith(folder + sep)) throw new Problem('backup/damaged', { what: file.path })
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    await writeWhole(target, checked(repository, file))
    await utimes(target, file.modifiedAt / 1000, file.modifiedAt / 1000)
    if (target.endsWith('.sqlite')) await checkSqlite(target)
    sizeBytes += file.sizeBytes
  }
  const staging = await mkdtemp(join(folder, STAGING))
  try {
    for (const dump of manifest.dumps) {
      const config = databases.find((each) => each.dialect === 'postgres' && (each.schema ?? 'public') === dump.schema)
      if (config?.dialect !== 'postgres') throw new Problem('backup/damaged', { what: dump.schema, reason: 'no such schema in the configuration' })
      const copy = join(staging, randomUUID())
      await writeWhole(copy, checked(repository, dump))
      await restoreSchema(config, copy)
      tell(`schema ${dump.schema}`)
    }
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  return { files: manifest.files.length + manifest.dumps.length, sizeBytes, tookMs: Date.now() - began }
}

async function* checked(repository: BackupRepository, { path, sm3, blob }: BackupFile): AsyncGenerator<Uint8Array> {
  const digest = createSm3()
  for await (const chunk of repository.read(blob)) {
    digest.update(chunk)
    yield chunk
  }
  if (digest.digestHex() !== sm3) throw new Problem('backup/damaged', { what: path })
}

async function digestOf(file: string): Promise<string> {
  const digest = createSm3()
  for await (const chunk of createReadStream(file)) digest.update(chunk as Buffer)
  return digest.digestHex()
}

async function* filesBelow(folder: string, skip: ReadonlySet<string>): AsyncGenerator<string> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (skip.has(path) || entry.name.endsWith('.part') || entry.name.endsWith('.new') || entry.name.startsWith(STAGING)) continue
    if (entry.isDirectory()) yield* filesBelow(path, skip)
    else if (entry.isFile()) yield path
  }
}

/** An image that was deleted, or a temporary file that was renamed, between the list and its reading. */
function gone(error: NodeJS.ErrnoException): BackupFile {
  if (error.code === 'ENOENT') return { path: '', sizeBytes: 0, modifiedAt: 0, sm3: '', blob: '' }
  throw error
}

const slashed = (path: string) => path.split(sep).join('/')
