import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { AuditTrail, Database, Log } from 'service-kit'
import { isProblem, Problem, type EpochMs, type ImportRow } from 'specs'
import type { IncomingSource } from '../../archive/archive.ts'
import type { Storing } from '../../dicomweb/study-source.ts'
import { readDicomDir } from './dicomdir.ts'
import { addFiles, addImport, changeImport, endInterrupted, listImports, type FileResult } from './store.ts'
import { takeFile, type TakenFile } from './take-file.ts'
import { filesOfZip, usualZipLimits } from './zip.ts'

export interface ImporterParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  /** Where uploaded ZIP files wait to be read; emptied at the start. */
  readonly folder: string
  readonly freeBytes: () => Promise<number>
  readonly onChange?: (importId: string) => void
  readonly now?: () => EpochMs
}

export interface Importing {
  readonly name: string
  readonly origin: ImportRow['origin']
  readonly userId: string
  readonly startedBy: string
  readonly filesExpected: number
  readonly storing: Storing
}

/** An import while it goes on. */
interface Session {
  readonly id: string
  readonly source: IncomingSource
  readonly storing: Storing
  readonly cancel: AbortController
  readonly listed: Map<string, string>
  hasDirectory: boolean
  /** SOP Instance UIDs that came, to be compared with a directory. */
  readonly came: Set<string>
  position: number
  filesExpected: number
  unsaved: FileResult[]
  /** What is read now. */
  readonly reading: Set<Promise<unknown>>
  lastAt: EpochMs
}

const AT_ONCE = 8
const SAVE_EVERY_MS = 500
/** Nobody has sent anything for so long: the page is gone. */
const ABANDONED_MS = 60 * 60_000

/** 影像导入: folders, media with a DICOMDIR and ZIP files, file by file into the archive; what is here already counts as repeated, so trying again is safe. */
export class Importer {
  readonly #parts: ImporterParts
  readonly #now: () => EpochMs
  readonly #sessions = new Map<string, Session>()
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(parts: ImporterParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  async start(): Promise<void> {
    await rm(this.#parts.folder, { recursive: true, force: true })
    await mkdir(this.#parts.folder, { recursive: true })
    await endInterrupted(this.#parts.db, this.#now())
    this.#timer = setInterval(() => void this.#upkeep(), SAVE_EVERY_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    for (const session of this.#sessions.values()) {
      session.cancel.abort()
      await Promise.allSettled(session.reading)
      await this.#save(session)
    }
    this.#sessions.clear()
    await endInterrupted(this.#parts.db, this.#now())
  }

  /** @returns its id. @throws {Problem} import/busy */
  async begin({ name, origin, userId, startedBy, filesExpected, storing }: Importing): Promise<string> {
    if (this.#sessions.size >= AT_ONCE) throw new Problem('import/busy')
    const id = randomUUID()
    this.#sessions.set(id, {
      id, storing, filesExpected,
      source: { kind: 'import', peer: userId },
      cancel: new AbortController(),
      listed: new Map(),
      hasDirectory: false,
      came: new Set(),
      position: 0,
      unsaved: [],
      reading: new Set(),
      lastAt: this.#now(),
    }) // prettier-ignore
    await addImport(this.#parts.db, { id, name, origin, userId, startedBy, filesExpected }, this.#now())
    this.#parts.onChange?.(id)
    return id
  }

  /** One file as it arrives. @throws {Problem} import/ended, archive/out-of-space */
  async file(importId: string, name: string, chunks: AsyncIterable<Uint8Array>, isWhole?: () => boolean): Promise<FileResult> {
    const session = this.#session(importId)
    const reading = takeFile(session.storing, session.source, untilAborted(chunks, session.cancel.signal), isWhole)
    session.reading.add(reading)
    try {
      return this.#note(session, name, await reading)
    } finally {
      session.reading.delete(reading)
    }
  }

  /** A ZIP file: resolves when it has arrived; it is read afterwards. @throws {Problem} import/ended, archive/out-of-space */
  async zip(importId: string, name: string, upload: Readable): Promise<void> {
    const session = this.#session(importId)
    const path = join(this.#parts.folder, `${importId}-${randomUUID()}.zip`)
    try {
      await pipeline(upload, createWriteStream(path), { signal: session.cancel.signal })
    } catch (error) {
      await rm(path, { force: true })
      throw session.cancel.signal.aborted ? new Problem('import/ended') : error
    }
    const reading = this.zipAt(importId, name, path)
      .catch((error: unknown) => this.#parts.log.error({ err: error, importId }, 'import failed'))
      .finally(() => {
        session.reading.delete(reading)
        return rm(path, { force: true })
      })
    session.reading.add(reading)
  }

  /** A ZIP file that lies on the disk, to its end. What is wrong with it as a whole is a line of the import. */
  async zipAt(importId: string, name: string, path: string): Promise<void> {
    const session = this.#session(importId)
    const free = await this.#parts.freeBytes()
    let counted = false
    try {
      for await (const entry of filesOfZip(path, { ...usualZipLimits, maxBytes: Math.min(usualZipLimits.maxBytes, free) })) {
        if (session.cancel.signal.aborted) return
        if (!counted) session.filesExpected += entry.total - 1
        counted = true
        await this.file(importId, `${name}/${entry.name}`, await entry.open(), entry.isWhole)
      }
    } catch (error) {
      if (session.cancel.signal.aborted) return
      if (!isProblem(error)) throw error
      this.#note(session, name, { outcome: 'failed', sizeBytes: 0, studyInstanceUid: null, sopInstanceUid: null, problem: error })
    }
  }

  /** Nothing more will be sent: ends when everything has been read. */
  async finish(importId: string): Promise<void> {
    const session = this.#session(importId)
    await this.#change(session, 'reading')
    await Promise.allSettled(session.reading)
    if (!session.cancel.signal.aborted) await this.#end(session, 'done')
  }

  /** What has been stored stays. */
  async cancel(importId: string): Promise<void> {
    const session = this.#sessions.get(importId)
    if (!session) return
    session.cancel.abort()
    await Promise.allSettled(session.reading)
    await this.#end(session, 'cancelled')
  }

  isOpen(importId: string): boolean {
    return this.#sessions.has(importId)
  }

  #session(importId: string): Session {
    const session = this.#sessions.get(importId)
    if (!session || session.cancel.signal.aborted) throw new Problem('import/ended')
    session.lastAt = this.#now()
    return session
  }

  #note(session: Session, name: string, taken: TakenFile): FileResult {
    const { directory, ...file } = taken
    if (directory) this.#readDirectory(session, directory)
    if (file.sopInstanceUid !== null) session.came.add(file.sopInstanceUid)
    const result = { ...file, name: name.slice(0, 300), position: ++session.position }
    session.unsaved.push(result)
    session.lastAt = this.#now()
    return result
  }

  #readDirectory(session: Session, bytes: Buffer): void {
    try {
      for (const { sopInstanceUid, name } of readDicomDir(bytes)) session.listed.set(sopInstanceUid, name)
      session.hasDirectory = true
    } catch (error) {
      this.#parts.log.info({ err: error, importId: session.id }, 'DICOMDIR cannot be read') // the images count, not the list
    }
  }

  async #upkeep(): Promise<void> {
    for (const session of this.#sessions.values()) {
      try {
        await this.#save(session)
        if (session.reading.size === 0 && this.#now() - session.lastAt > ABANDONED_MS) await this.#end(session, 'cancelled')
      } catch (error) {
        this.#parts.log.warn({ err: error, importId: session.id }, 'import not written down')
      }
    }
  }

  async #save(session: Session): Promise<void> {
    if (session.unsaved.length === 0) return
    const files = session.unsaved
    session.unsaved = []
    try {
      await this.#parts.db.write((tx) => addFiles(tx, session.id, files))
    } catch (error) {
      session.unsaved = [...files, ...session.unsaved]
      throw error
    }
    this.#parts.onChange?.(session.id)
  }

  async #change(session: Session, state: ImportRow['state'], endedAt?: EpochMs): Promise<void> {
    const missing = [...session.listed].filter(([uid]) => !session.came.has(uid)).map(([uid, name]) => (name === '' ? uid : name))
    await changeImport(this.#parts.db, session.id, { state, filesExpected: Math.max(session.filesExpected, session.position), listed: session.hasDirectory ? session.listed.size : null, missing, problem: null, ...(endedAt !== undefined && { endedAt }) })
    this.#parts.onChange?.(session.id)
  }

  async #end(session: Session, state: 'done' | 'cancelled'): Promise<void> {
    this.#sessions.delete(session.id)
    await this.#save(session)
    await this.#change(session, state, this.#now())
    const [row] = await listImports(this.#parts.db, { id: session.id, limit: 1 })
    if (!row) return
    const { files, stored, duplicates, failed, studies, userId } = row
    const actor = row.origin === 'folder' ? ({ kind: 'system', id: 'import-folder' } as const) : ({ kind: 'user', id: userId } as const)
    this.#parts.audit.note({ action: 'study.import', outcome: failed > 0 ? 'failed' : 'success', actor, object: { type: 'transfer', id: session.id }, facts: { files, stored, duplicates, failed, studies, state } }, { each: true })
  }
}

async function* untilAborted(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (signal.aborted) throw new Problem('import/ended')
    yield chunk
  }
}
