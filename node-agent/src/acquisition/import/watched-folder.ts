import { createReadStream } from 'node:fs'
import { lstat, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database, Log } from 'service-kit'
import type { Storing } from '../../dicomweb/study-source.ts'
import type { Importer } from './importer.ts'
import { listImports } from './store.ts'

export interface WatchedFolderParts {
  readonly db: Database
  readonly log: Log
  readonly importer: Importer
  /** Holds `inbox`, `done` and `failed`; made when missing. */
  readonly folder: string
  readonly storing: Storing
  readonly lookMs?: number
  readonly now?: () => number
}

const LOOK_MS = 5_000

/** What an administrator puts into the inbox (a file, a folder, a ZIP) is imported once it has stopped growing, and moved to `done` or `failed`. */
export class WatchedFolder {
  readonly #parts: WatchedFolderParts
  readonly #now: () => number
  /** Size and time of each entry as it was last time. */
  #seen = new Map<string, string>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #working: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(parts: WatchedFolderParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  async start(): Promise<void> {
    for (const name of ['inbox', 'done', 'failed']) await mkdir(join(this.#parts.folder, name), { recursive: true })
    this.#again()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    await this.#working
  }

  #again(): void {
    if (this.#isStopping) return
    this.#timer = setTimeout(() => {
      this.#working = this.#look()
        .catch((error: unknown) => this.#parts.log.error({ err: error, folder: this.#parts.folder }, 'import folder cannot be read'))
        .finally(() => this.#again())
    }, this.#parts.lookMs ?? LOOK_MS)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const inbox = join(this.#parts.folder, 'inbox')
    const seen = new Map<string, string>()
    for (const name of (await readdir(inbox)).sort()) {
      if (name.startsWith('.') || this.#isStopping) continue
      const state = await stateOf(join(inbox, name))
      if (this.#seen.get(name) === state) await this.#take(name)
      else seen.set(name, state)
    }
    this.#seen = seen
  }

  async #take(name: string): Promise<void> {
    const { importer, storing, folder, db, log } = this.#parts
    const path = join(folder, 'inbox', name)
    const files = await filesBelow(path)
    const importId = await importer.begin({ name, origin: 'folder', userId: 'import-folder', startedBy: 'import-folder', filesExpected: files.length, storing })
    let isRefused = false
    try {
      for (const file of files) {
        const shown = file.slice(path.length + 1) || name
        if (/\.zip$/i.test(file)) await importer.zipAt(importId, shown, file)
        else await importer.file(importId, shown, createReadStream(file))
      }
    } catch (error) {
      isRefused = true
      log.warn({ err: error, name }, 'import from the folder broken off')
    }
    if (isRefused) await importer.cancel(importId)
    else await importer.finish(importId)
    const [row] = await listImports(db, { id: importId, limit: 1 })
    const isDone = !isRefused && row !== undefined && row.failed === 0 && row.missing.length === 0
    // A stop leaves it in the inbox for the next start.
    if (!this.#isStopping) await rename(path, join(folder, isDone ? 'done' : 'failed', `${stamp(this.#now())}-${name}`))
  }
}

/** Changes while something is still being copied. */
async function stateOf(path: string): Promise<string> {
  let [count, bytes, newest] = [0, 0, 0]
  for (const file of await filesBelow(path)) {
    const { size, mtimeMs } = await lstat(file)
    count += 1
    bytes += size
    newest = Math.max(newest, mtimeMs)
  }
  return `${count} ${bytes} ${newest}`
}

/** Links lead out of the inbox: they are passed over. */
async function filesBelow(path: string): Promise<string[]> {
  const entry = await lstat(path)
  if (entry.isFile()) return [path]
  if (!entry.isDirectory()) return []
  const below: string[] = []
  for (const name of (await readdir(path)).sort()) below.push(...(await filesBelow(join(path, name))))
  return below
}

const stamp = (at: number): string => new Date(at).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')
