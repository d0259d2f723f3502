import { rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Database, Log } from 'service-kit'
import { isProblem, type StorageMove, type StoragePolicy } from 'specs'
import type { Folders } from '../folders.ts'
import type { FreeSpace } from '../free-space.ts'
import { codeOf } from '../storage-problem.ts'
import { copiesOfStudy, discard, dueDiscards, filesOfStudy, isCurrentCopy, type FileRow } from './copies.ts'
import type { Copier } from './copier.ts'
import { endMove, enqueue, nextMove, postponeMove } from './moves.ts'
import { decideLeaving, decideReplicas } from './policy.ts'
import type { Recalls } from './recall.ts'
import type { StoreBook } from './store-book.ts'

export interface MoverParts {
  readonly db: Database
  readonly folders: Folders
  readonly stores: StoreBook
  readonly copier: Copier
  readonly recalls: Recalls
  readonly space: FreeSpace
  readonly log: Log
  readonly policy: () => StoragePolicy
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
}

const AT_ONCE = 4
const IDLE_MS = 2_000
const DISCARDS = 50
/** A store that was taken away may be set up again. */
const UNKNOWN_STORE_MS = 3_600_000

/** Works off what is to be copied, moved, called back and removed, one study after the other; everything waits in the database. */
export class Mover {
  readonly #parts: MoverParts
  readonly #stopped = new AbortController()
  #wake: () => void = () => undefined
  #running: Promise<void> = Promise.resolve()

  constructor(parts: MoverParts) {
    this.#parts = parts
  }

  start(): void {
    this.#running = this.#loop()
  }

  /** There is something to do. */
  wake(): void {
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#running
  }

  async #loop(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const found = await this.step().catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) this.#parts.log.error({ err: error }, 'moving of images left for later')
        return false
      })
      if (found || this.#stopped.signal.aborted) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, IDLE_MS)
        this.#wake = () => { clearTimeout(timer); resolve() } // prettier-ignore
      })
    }
  }

  /** One study or some removals. @returns whether there was anything to do. */
  async step(): Promise<boolean> {
    const { db, stores } = this.#parts
    const without = stores.paused()
    if (await this.#discard(without)) return true
    const move = await nextMove(db, Date.now(), without)
    if (!move) return false
    try {
      await this.#do(move)
      await endMove(db, move)
    } catch (error) {
      if (this.#stopped.signal.aborted) return false
      const fault = isProblem(error) ? error.code : 'service/internal'
      if (fault === 'service/internal') this.#parts.log.error({ err: error, move }, 'study not moved')
      await postponeMove(db, move, fault, Date.now())
    }
    return true
  }

  async #do(move: StorageMove): Promise<void> {
    const { db, policy } = this.#parts
    const { studyInstanceUid: study, storeId, kind } = move
    if (kind === 'leave') return this.#leave(study, storeId)
    const files = await filesOfStudy(db, study)
    if (kind === 'recall' || kind === 'home') {
      await inTurn(files, (file) => (file.away === 1 ? this.#bring(file) : Promise.resolve()))
      await db.run('UPDATE archive_study SET opened_at = $1 WHERE study_instance_uid = $2', [Date.now(), study])
      if (kind === 'home') await this.#settleAtHome(study)
      return
    }
    await this.#copyAll(files, storeId, kind)
    if (kind === 'replica') return
    await db.run('UPDATE archive_study SET tier = $1 WHERE study_instance_uid = $2', [storeId, study])
    const row = await db.get<{ receivedAt: number; openedAt: number }>('SELECT updated_at AS "receivedAt", opened_at AS "openedAt" FROM archive_study WHERE study_instance_uid = $1', [study])
    // An order of a person means now.
    if (row && (move.askedBy !== '' || decideLeaving(row, policy().keepLocalDays, Date.now()))) await this.#leave(study, storeId)
  }

  /** One damaged file keeps no other from being copied; it is told when the others are done. */
  async #copyAll(files: readonly FileRow[], storeId: string, role: 'tier' | 'replica'): Promise<void> {
    const { copier } = this.#parts
    const failed: unknown[] = []
    await inTurn(files, async (file) => {
      this.#stopped.signal.throwIfAborted()
      try {
        await copier.copy(file, storeId, role, this.#stopped.signal)
      } catch (error) {
        if (!isProblem(error) || error.code.startsWith('store/') || error.code === 'outbound/refused') throw error
        failed.push(error)
      }
    })
    if (failed.length > 0) throw failed[0]
  }

  async #bring(file: FileRow): Promise<void> {
    const there = await stat(path.join(this.#parts.folders.root, file.path)).catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : Promise.reject(error as Error)))
    if (!there) await this.#parts.recalls.bring(file)
  }

  async #settleAtHome(study: string): Promise<void> {
    const { db, policy } = this.#parts
    await db.write(async (tx) => {
      const row = await tx.get<{ owner: string; tier: string }>('SELECT hospital_id AS "owner", tier FROM archive_study WHERE study_instance_uid = $1', [study])
      if (!row || row.tier === '') return
      await tx.run('DELETE FROM archive_away WHERE study_instance_uid = $1', [study])
      await tx.run("UPDATE archive_study SET tier = '' WHERE study_instance_uid = $1", [study])
      if (decideReplicas(row, policy().replicaRules).includes(row.tier)) await tx.run("UPDATE archive_copy SET role = 'replica' WHERE study_instance_uid = $1 AND store_id = $2", [study, row.tier])
      else {
        for (const { objectKey } of await copiesOfStudy(tx, study, row.tier)) await discard(tx, row.tier, objectKey)
        await tx.run('DELETE FROM archive_copy WHERE study_instance_uid = $1 AND store_id = $2', [study, row.tier])
      }
    })
  }

  /** The local copies go: only of files whose copy in the store has been read back and has the form that the file has now. */
  async #leave(study: string, storeId: string): Promise<void> {
    const { db, folders, exclusively } = this.#parts
    const copies = new Map((await copiesOfStudy(db, study, storeId)).map((copy) => [copy.fileId, copy]))
    for (const file of await filesOfStudy(db, study)) {
      const copy = copies.get(file.fileId)
      if (!copy || !isCurrentCopy(copy, file)) continue
      await exclusively(async () => {
        // The row goes first: a file without a local copy that nobody knows to be away would be a lost one.
        const changes = await db.run(
          `INSERT INTO archive_away (file_id, study_instance_uid, left_at) SELECT file_id, study_instance_uid, $1 FROM archive_instance WHERE file_id = $2 AND path = $3
           ON CONFLICT (file_id) DO UPDATE SET left_at = excluded.left_at`,
          [Date.now(), file.fileId, file.path],
        )
        if (changes > 0) await rm(path.join(folders.root, file.path), { force: true })
      })
    }
  }

  async #discard(without: readonly string[]): Promise<boolean> {
    const { db, stores } = this.#parts
    const due = await dueDiscards(db, Date.now(), DISCARDS, without)
    for (const { storeId, objectKey } of due) {
      const wanted = await db.get('SELECT 1 AS "one" FROM archive_copy WHERE store_id = $1 AND object_key = $2', [storeId, objectKey])
      try {
        if (!wanted) await stores.use(storeId, (store) => store.delete(objectKey))
      } catch (error) {
        if (!isProblem(error)) throw error
        if (error.code !== 'store/unknown') return false // the store is left alone for a while
        await db.run('UPDATE archive_discard SET not_before = $1 WHERE store_id = $2 AND object_key = $3', [Date.now() + UNKNOWN_STORE_MS, storeId, objectKey])
        continue
      }
      await db.run('DELETE FROM archive_discard WHERE store_id = $1 AND object_key = $2', [storeId, objectKey])
    }
    return due.length > 0
  }

  /** When the disk is short of room, studies whose lasting copy is elsewhere leave it, the longest unopened first (ARC-08). */
  async makeRoom(): Promise<void> {
    const { db, space } = this.#parts
    if (!(await space.isShort())) return
    const studies = await db.all<{ study: string; tier: string }>(
      `SELECT study.study_instance_uid AS "study", study.tier FROM archive_study study WHERE study.tier <> '' AND EXISTS (SELECT 1 FROM archive_instance instance
       LEFT JOIN archive_away away ON away.file_id = instance.file_id WHERE instance.study_instance_uid = study.study_instance_uid AND (away.file_id IS NULL OR away.left_at = 0))
       ORDER BY study.opened_at, study.received_at LIMIT 20`,
    )
    for (const { study, tier } of studies) await this.#leave(study, tier)
  }

  /** What waited for a store need not wait any longer. */
  async resume(storeId: string): Promise<void> {
    await this.#parts.db.run('UPDATE archive_move SET not_before = 0 WHERE store_id = $1', [storeId]).catch((error: unknown) => this.#parts.log.warn({ err: error }, 'queue not resumed'))
    this.wake()
  }

  /** @throws what the database says */
  async order(study: string, storeId: string, kind: StorageMove['kind'], askedBy: string): Promise<void> {
    await enqueue(this.#parts.db, study, storeId, kind, askedBy)
    this.wake()
  }
}

/** Some at once; the first failure ends it. */
async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const waiting = [...items]
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  for (const each of ended) if (each.status === 'rejected') throw each.reason
}
