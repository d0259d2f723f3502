import { Buffer } from 'node:buffer'
import { pbkdf2, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { hmacSm3, randomBytes, Sm4Gcm } from 'pki'
import { Problem } from 'specs'
import { z } from 'zod'
import { openStream, sealStream } from './sealed-stream.ts'

/** Names joined by `/`, none of which leads upwards or elsewhere: whoever knows the passphrase still does not write where they please. */
const BelowFolder = z
  .string()
  .min(1)
  .max(4_096)
  .refine((path) => !/[\\\0]|^[A-Za-z]:/.test(path) && path.split('/').every((name) => name !== '' && name !== '.' && name !== '..'), 'not a path below the folder')
const Digest = z.string().regex(/^[0-9a-f]{64}$/)

export const BackupFile = z.object({
  /** Below the folder of the service, with `/`. */
  path: BelowFolder,
  sizeBytes: z.number().int(),
  modifiedAt: z.number(),
  /** Of the content, in clear (GB/T 32905). */
  sm3: Digest,
  blob: Digest,
})
export type BackupFile = z.infer<typeof BackupFile>

/** A table dump of one schema, for services on PostgreSQL. */
export const BackupDump = BackupFile.extend({ schema: z.string() })

export const BackupManifest = z.object({
  v: z.literal(1),
  id: z.string(),
  /** Whose: a hospital's identifier or `hub`. */
  service: z.string(),
  /** What is in it was so at this moment. */
  at: z.number().int(),
  tookMs: z.number().int(),
  files: z.array(BackupFile),
  dumps: z.array(BackupDump),
  /** Read and written for this backup; the rest was there from earlier ones. */
  newBytes: z.number().int(),
  hasVaultKey: z.boolean(),
})
export type BackupManifest = z.infer<typeof BackupManifest>

const Head = z.object({ v: z.literal(1), kdf: z.literal('PBKDF2-HMAC-SM3'), salt: z.string(), iterations: z.number().int().min(10_000).max(10_000_000), check: z.string() })
const ITERATIONS = 210_000
const derive = promisify(pbkdf2)

/**
 * A folder of backups, sealed under a passphrase. Content is kept once under a name made of its digest, so a backup costs what has changed;
 * each backup is whole by itself, and any may be removed.
 */
export class BackupRepository {
  readonly folder: string
  readonly #cipher: Sm4Gcm
  readonly #nameKey: Uint8Array

  private constructor(folder: string, key: Uint8Array) {
    this.folder = folder
    this.#cipher = new Sm4Gcm(key.subarray(0, 16))
    this.#nameKey = key.subarray(16)
  }

  /** Made when the folder has none. @throws {Problem} backup/wrong-passphrase */
  static async open(folder: string, passphrase: string): Promise<BackupRepository> {
    if (passphrase.length < 12) throw new Problem('backup/wrong-passphrase', { reason: 'at least 12 characters' })
    await mkdir(join(folder, 'backups'), { recursive: true, mode: 0o700 })
    const file = join(folder, 'repository.json')
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text !== undefined) {
      const head = Head.parse(JSON.parse(text))
      const key = await derive(passphrase, Buffer.from(head.salt, 'base64'), head.iterations, 48, 'sm3')
      if (checkOf(key) !== head.check) throw new Problem('backup/wrong-passphrase')
      return new BackupRepository(folder, key)
    }
    const salt = Buffer.from(randomBytes(16))
    const key = await derive(passphrase, salt, ITERATIONS, 48, 'sm3')
    const head: z.infer<typeof Head> = { v: 1, kdf: 'PBKDF2-HMAC-SM3', salt: salt.toString('base64'), iterations: ITERATIONS, check: checkOf(key) }
    await writeWhole(file, (async function* () { yield Buffer.from(`${JSON.stringify(head)}\n`) })()) // prettier-ignore
    return new BackupRepository(folder, key)
  }

  /** The name that content goes by here; who does not know the passphrase cannot tell from it what is stored. */
  blobOf(sm3: string): string {
    return Buffer.from(hmacSm3(this.#nameKey, Buffer.from(sm3, 'hex'))).toString('hex')
  }

  async has(blob: string): Promise<boolean> {
    return (await stat(this.#blobFile(blob)).catch(() => undefined)) !== undefined
  }

  /** Durable when it resolves. */
  async put(blob: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    await mkdir(dirname(this.#blobFile(blob)), { recursive: true, mode: 0o700 })
    await writeWhole(this.#blobFile(blob), sealStream(this.#cipher, content, blob))
  }

  /** @throws {Problem} backup/damaged */
  read(blob: string): AsyncGenerator<Uint8Array> {
    return openStream(this.#cipher, bytesOf(this.#blobFile(blob), blob), blob)
  }

  async save(manifest: BackupManifest): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(manifest))
    await writeWhole(this.#manifestFile(manifest.id), sealStream(this.#cipher, (async function* () { yield bytes })(), `manifest/${manifest.id}`)) // prettier-ignore
  }

  /** Newest first. @throws {Problem} backup/damaged */
  async list(): Promise<BackupManifest[]> {
    const names = (await readdir(join(this.folder, 'backups'))).filter((name) => name.endsWith('.backup'))
    const manifests = await Promise.all(names.map((name) => this.manifest(name.slice(0, -'.backup'.length))))
    return manifests.sort((a, b) => b.at - a.at)
  }

  /** @throws {Problem} backup/unknown, backup/damaged */
  async manifest(id: string): Promise<BackupManifest> {
    if (!/^[\w-]{1,80}$/.test(id)) throw new Problem('backup/unknown', { id })
    const file = this.#manifestFile(id)
    if ((await stat(file).catch(() => undefined)) === undefined) throw new Problem('backup/unknown', { id })
    const parts: Uint8Array[] = []
    for await (const part of openStream(this.#cipher, bytesOf(file, id), `manifest/${id}`)) parts.push(part)
    const parsed = BackupManifest.safeParse(JSON.parse(Buffer.concat(parts).toString('utf8')))
    if (!parsed.success) throw new Problem('backup/damaged', { what: id, reason: parsed.error.issues[0]?.path.map(String).join('.') })
    return parsed.data
  }

  /** Leaves the newest `keep` and the content they need. @returns how many backups and pieces of content were removed. */
  async prune(keep: number): Promise<{ backups: number; blobs: number }> {
    const all = await this.list()
    const kept = new Set(all.slice(0, keep).flatMap(({ files, dumps }) => [...files, ...dumps].map(({ blob }) => blob)))
    for (const { id } of all.slice(keep)) await rm(this.#manifestFile(id))
    let blobs = 0
    for (const folder of await readdir(join(this.folder, 'blobs')).catch(() => [])) {
      for (const blob of await readdir(join(this.folder, 'blobs', folder))) {
        if (kept.has(blob)) continue
        await rm(join(this.folder, 'blobs', folder, blob))
        blobs++
      }
    }
    return { backups: Math.max(0, all.length - keep), blobs }
  }

  #blobFile(blob: string): string {
    return join(this.folder, 'blobs', blob.slice(0, 2), blob)
  }

  #manifestFile(id: string): string {
    return join(this.folder, 'backups', `${id}.backup`)
  }
}

const checkOf = (key: Uint8Array) => Buffer.from(hmacSm3(key, Buffer.from('lianpian backup check'))).toString('hex').slice(0, 32) // prettier-ignore

async function* bytesOf(file: string, what: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Uint8Array
  } catch (cause) {
    throw new Problem('backup/damaged', { what }, { cause })
  }
}

/** The file is there whole or not at all. */
export async function writeWhole(file: string, content: AsyncIterable<Uint8Array>, mode = 0o600): Promise<void> {
  const partial = `${file}.${randomUUID()}.part`
  const handle = await open(partial, 'wx', mode)
  try {
    for await (const chunk of content) await handle.writeFile(chunk)
    await handle.sync()
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  await rename(partial, file)
}
