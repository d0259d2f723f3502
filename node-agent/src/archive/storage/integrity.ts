import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Log } from 'service-kit'
import { isProblem, Problem, type IntegrityFinding, type IntegrityPass, type StoragePolicy } from 'specs'
import { decrypted } from '../encryption/encrypted-input.ts'
import { isEncryptedPath, type FileEncryption } from '../encryption/file-encryption.ts'
import type { Folders } from '../folders.ts'
import { codeOf } from '../storage-problem.ts'
import { copiesOfFile, dropCopy, fileOf, findingId, isCurrentCopy, selectFile, type Copy, type FileRow } from './copies.ts'
import { storedBytes, type Copier } from './copier.ts'
import { countAll } from './digest-stream.ts'
import { isWithin } from './policy.ts'
import type { Recalls } from './recall.ts'
import type { StoreBook } from './store-book.ts'

export interface IntegrityParts {
  readonly db: Database
  readonly folders: Folders
  readonly encryption: FileEncryption | undefined
  readonly stores: StoreBook
  readonly copier: Copier
  readonly recalls: Recalls
  readonly log: Log
  readonly policy: () => StoragePolicy
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  readonly now: () => number
  /** How many there are. */
  readonly instances: () => number
  /** A new fault, or a pass that has ended: for alarm and trail. */
  readonly onFinding?: (finding: Omit<IntegrityFinding, 'copiesAt'>) => void
  readonly onPassEnd?: (pass: IntegrityPass) => void
}

type Kind = IntegrityFinding['kind']
type State = 'sound' | Kind | 'unreachable'

const PORTION = 50
const passColumns = `pass_id AS "passId", state, started_at AS "startedAt", ended_at AS "endedAt", checked, checked_bytes AS "checkedBytes", missing, corrupt, repaired, unreachable, position`

/** Reads what is stored again, at a pace that disturbs nobody, and compares it with its digest (ARC-22). A pass goes on where a stop left it. */
export class Integrity {
  readonly #parts: IntegrityParts
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #isRunning = false

  constructor(parts: IntegrityParts) {
    this.#parts = parts
  }

  async last(): Promise<(IntegrityPass & { position: string }) | undefined> {
    const row = await this.#parts.db.get<Omit<IntegrityPass, 'total'> & { position: string }>(`SELECT ${passColumns} FROM archive_check_pass ORDER BY started_at DESC LIMIT 1`)
    if (!row) return undefined
    const waits = row.state === 'running' && !this.#isRunning && !isWithin(this.#parts.policy().integrity, this.#parts.now())
    return { ...row, state: waits ? 'waiting' : row.state, total: this.#parts.instances() }
  }

  /** Begins a pass unless one is under way. */
  async begin(): Promise<void> {
    const { db, now } = this.#parts
    const last = await this.last()
    if (last && (last.state === 'running' || last.state === 'waiting')) return this.wake()
    await db.run(
      `INSERT INTO archive_check_pass (pass_id, state, started_at, position, checked, checked_bytes, missing, corrupt, repaired, unreachable) VALUES ($1, 'running', $2, '', 0, 0, 0, 0, 0, 0)`,
      [randomUUID(), now()],
    )
    this.wake(true)
  }

  async cancel(): Promise<void> {
    await this.#parts.db.run("UPDATE archive_check_pass SET state = 'stopped', ended_at = $1 WHERE state = 'running'", [this.#parts.now()])
  }

  /** Called now and then: goes on with a pass, or begins one that is due. */
  async tick(): Promise<void> {
    const { policy, now } = this.#parts
    const { everyDays } = policy().integrity
    const last = await this.last()
    if (last?.state === 'running') return this.wake()
    if (everyDays > 0 && last?.state !== 'waiting' && now() - (last?.startedAt ?? 0) >= everyDays * 86_400_000 && isWithin(policy().integrity, now())) await this.begin()
  }

  /** @param atOnce whatever the hour: somebody asked. */
  wake(atOnce = false): void {
    if (this.#isRunning || this.#stopped.signal.aborted) return
    this.#isRunning = true
    this.#running = this.#pass(atOnce)
      .catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) this.#parts.log.error({ err: error }, 'check of stored files interrupted, it goes on later')
      })
      .finally(() => (this.#isRunning = false))
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  /** For tests and for whoever waits: the pass that is under way. */
  get settled(): Promise<void> {
    return this.#running
  }

  async #pass(atOnce: boolean): Promise<void> {
    const { db, now } = this.#parts
    for (;;) {
      const pass = await this.last()
      const mayNow = atOnce || isWithin(this.#parts.policy().integrity, now())
      if (pass?.state !== 'running' || !mayNow || this.#stopped.signal.aborted) return
      const files = await db.all<FileRow>(`${selectFile} WHERE instance.sop_instance_uid > $1 ORDER BY instance.sop_instance_uid LIMIT ${PORTION}`, [pass.position])
      const counts = { checkedBytes: 0, missing: 0, corrupt: 0, repaired: 0, unreachable: 0 }
      for (const file of files) {
        this.#stopped.signal.throwIfAborted()
        await this.#check(file, counts)
      }
      const isLast = files.length < PORTION
      await db.run(
        `UPDATE archive_check_pass SET position = $1, checked = checked + $2, checked_bytes = checked_bytes + $3, missing = missing + $4, corrupt = corrupt + $5, repaired = repaired + $6,
         unreachable = unreachable + $7${isLast ? `, state = 'done', ended_at = ${now()}` : ''} WHERE pass_id = $8 AND state = 'running'`,
        [files.at(-1)?.sopInstanceUid ?? pass.position, files.length, counts.checkedBytes, counts.missing, counts.corrupt, counts.repaired, counts.unreachable, pass.passId],
      )
      if (!isLast) continue
      await this.#forgetPast()
      const ended = await this.last()
      if (ended) this.#parts.onPassEnd?.(ended)
      return
    }
  }

  async #check(file: FileRow, counts: { checkedBytes: number; missing: number; corrupt: number; repaired: number; unreachable: number }): Promise<void> {
    const { db, policy, stores } = this.#parts
    const note = async (storeId: string, state: State, repair: () => Promise<boolean>) => {
      if (state === 'unreachable') counts.unreachable += 1
      else if (state === 'sound') await this.#resolve(file.fileId, storeId)
      else {
        counts[state === 'missing' ? 'missing' : 'corrupt'] += 1
        await this.#found(file, storeId, state)
        if (policy().integrity.repair && (await repair())) counts.repaired += 1
      }
    }
    const local = await this.#localState(file, (bytes) => void (counts.checkedBytes += bytes))
    if (local !== 'away') await note('local', local, () => this.repair(file.sopInstanceUid, 'local'))
    for (const copy of await copiesOfFile(db, file.fileId)) {
      if (!isCurrentCopy(copy, file) || !stores.has(copy.storeId)) continue
      const state = await this.#copyState(copy, Math.random() * 100 < policy().integrity.copiesReadPercent, (bytes) => void (counts.checkedBytes += bytes))
      await note(copy.storeId, state, () => this.repair(file.sopInstanceUid, copy.storeId))
    }
  }

  /** Only what is wrong in peace is wrong: a file may be on its way to its place. */
  async #localState(file: FileRow, onBytes: (bytes: number) => void): Promise<State | 'away'> {
    const first = await this.#readLocal(file, onBytes)
    if (first === 'sound' || first === 'away') {
      await this.#parts.db.run('UPDATE archive_instance SET missing = 0 WHERE file_id = $1 AND missing <> 0', [file.fileId])
      return first
    }
    return this.#parts.exclusively(async () => {
      const now = await fileOf(this.#parts.db, file.sopInstanceUid)
      if (!now || now.fileId !== file.fileId) return 'sound'
      const state = await this.#readLocal(now, () => undefined)
      // What is lost here is not a duplicate when it is sent again.
      if (state !== 'sound' && state !== 'away') await this.#parts.db.run('UPDATE archive_instance SET missing = 1 WHERE file_id = $1', [file.fileId])
      return state
    })
  }

  async #readLocal(file: FileRow, onBytes: (bytes: number) => void): Promise<State | 'away'> {
    const { folders, encryption } = this.#parts
    const name = path.join(folders.root, file.path)
    try {
      if ((await stat(name)).size !== storedBytes(file)) return 'wrong-size'
      if (isEncryptedPath(file.path) && !encryption) throw new Problem('archive/wrong-key', { sopInstanceUid: file.sopInstanceUid, reason: 'no vault' })
      const content = isEncryptedPath(file.path) ? decrypted(encryption!, name, file.fileId) : createReadStream(name, { highWaterMark: 1024 * 1024 })
      return (await countAll(content, this.#pace(onBytes))).sm3 === file.sm3 ? 'sound' : 'wrong-digest'
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return file.away === 1 ? 'away' : 'missing'
      if (isProblem(error) && error.code === 'archive/damaged-file') return 'wrong-digest'
      if (codeOf(error) === 'EIO') return 'wrong-digest' // the disk itself cannot read it any more
      throw error
    }
  }

  async #copyState(copy: Copy, whole: boolean, onBytes: (bytes: number) => void): Promise<State> {
    const { stores } = this.#parts
    if (stores.paused().includes(copy.storeId)) return 'unreachable'
    try {
      const object = await stores.use(copy.storeId, (store) => store.head(copy.objectKey))
      if (!object) return 'missing'
      if (object.sizeBytes !== copy.sizeBytes) return 'wrong-size'
      if (!whole) return 'sound'
      return (await countAll(await stores.use(copy.storeId, (store) => store.open(copy.objectKey)), this.#pace(onBytes))).sm3 === copy.sm3 ? 'sound' : 'wrong-digest'
    } catch (error) {
      if (isProblem(error) && error.code === 'store/no-object') return 'missing'
      return 'unreachable'
    }
  }

  #pace(onBytes: (bytes: number) => void): (bytes: number) => Promise<void> | void {
    const { bytesPerSecond } = this.#parts.policy().integrity
    return (bytes) => {
      onBytes(bytes)
      const wait = (bytes / bytesPerSecond) * 1_000
      return wait < 1 ? undefined : sleep(wait, undefined, { signal: this.#stopped.signal })
    }
  }

  async #found(file: FileRow, storeId: string, kind: Kind): Promise<void> {
    const { db, now, onFinding } = this.#parts
    const finding = { findingId: findingId(file.fileId, storeId), studyInstanceUid: file.studyInstanceUid as never, sopInstanceUid: file.sopInstanceUid as never, storeId, kind, foundAt: now() }
    const changes = await db.run(
      'INSERT INTO archive_finding (finding_id, study_instance_uid, sop_instance_uid, store_id, kind, found_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (finding_id) DO NOTHING',
      [finding.findingId, file.studyInstanceUid, file.sopInstanceUid, storeId, kind, finding.foundAt],
    )
    if (changes > 0) onFinding?.(finding)
  }

  /** Told by a reader who met it before the check did. */
  noteDamaged(file: FileRow, copy: Copy): void {
    this.#found(file, copy.storeId, 'wrong-digest').catch((error: unknown) => this.#parts.log.error({ err: error }, 'finding not kept'))
  }

  /** What was sent again, replaced or deleted since is no finding any more. */
  #forgetPast(): Promise<number> {
    return this.#parts.db.run(
      `DELETE FROM archive_finding WHERE NOT EXISTS (SELECT 1 FROM archive_instance instance
       WHERE instance.sop_instance_uid = archive_finding.sop_instance_uid AND archive_finding.finding_id = instance.file_id || '/' || archive_finding.store_id)`,
    )
  }

  #resolve(fileId: string, storeId: string): Promise<number> {
    return this.#parts.db.run('DELETE FROM archive_finding WHERE finding_id = $1', [findingId(fileId, storeId)])
  }

  /** Read here, or known to lie elsewhere. */
  async isSound(file: FileRow): Promise<boolean> {
    const state = await this.#readLocal(file, () => undefined)
    if (state === 'away') return (await copiesOfFile(this.#parts.db, file.fileId)).length > 0
    return state === 'sound'
  }

  /** From a sound copy elsewhere. @returns whether it is sound now. */
  async repair(sopInstanceUid: string, storeId: string): Promise<boolean> {
    const { db, recalls, copier, log } = this.#parts
    const file = await fileOf(db, sopInstanceUid)
    if (!file) return false
    try {
      if (storeId === 'local') await recalls.bring(file)
      else {
        const copies = await copiesOfFile(db, file.fileId)
        const bad = copies.find((copy) => copy.storeId === storeId)
        const others = copies.filter((copy) => copy !== bad)
        const local = await this.#readLocal(file, () => undefined)
        if (local !== 'sound') {
          // Never without a sound one in hand: what is bad may be all there is.
          if (others.length === 0) {
            await db.run('UPDATE archive_instance SET missing = 1 WHERE file_id = $1', [file.fileId])
            return false
          }
          await recalls.bring(file)
        }
        if (bad) await db.write((tx) => dropCopy(tx, bad))
        await copier.copy(file, storeId, bad?.role ?? 'replica')
      }
      await this.#resolve(file.fileId, storeId)
      return true
    } catch (error) {
      log.warn({ err: error, sopInstanceUid, storeId }, 'stored file not repaired')
      return false
    }
  }

  async findings(limit: number): Promise<IntegrityFinding[]> {
    const { db } = this.#parts
    await this.#forgetPast()
    const rows = await db.all<Omit<IntegrityFinding, 'copiesAt'> & { fileId: string }>(
      `SELECT finding_id AS "findingId", study_instance_uid AS "studyInstanceUid", sop_instance_uid AS "sopInstanceUid", store_id AS "storeId", kind, found_at AS "foundAt" FROM archive_finding ORDER BY found_at DESC LIMIT ${limit}`,
    )
    return Promise.all(rows.map(async (row) => ({ ...row, copiesAt: (await copiesOfFile(db, row.findingId.slice(0, row.findingId.indexOf('/')))).map(({ storeId }) => storeId).filter((id) => id !== row.storeId) })))
  }
}
