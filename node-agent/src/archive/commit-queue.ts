import { link, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError, type Database, type Log } from 'service-kit'
import type { Problem, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid } from 'specs'
import type { Receipt } from './archive.ts'
import type { Folders } from './folders.ts'
import type { LandedInstance } from './incoming.ts'
import { registerBatch, type RegisteredBatch, type Registration, type Totals } from './register.ts'
import type { RegisterSetup } from './index-rows.ts'
import { codeOf, storageProblem } from './storage-problem.ts'

export interface CommitQueueSetup extends RegisterSetup {
  readonly db: Database
  readonly folders: Folders
  readonly log: Log
  /** How often a failed registration is tried again, and how long we wait before (FED-23). */
  readonly registrationRetries: number
  readonly registrationRetryMs: number
  /** After rows and files of a batch are in place, before anybody is told; in the order of commits. */
  onCommitted(batch: readonly { readonly landed: LandedInstance; readonly receipt: Receipt }[], grown: Totals): Promise<void>
  /** The instance is in incoming/ and cannot be registered. */
  onFailed(landed: LandedInstance, problem: Problem): Promise<void>
}

interface Waiting {
  readonly landed: LandedInstance
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: unknown) => void
}

const maxBatch = 200

/**
 * Group commit: instances that arrive while one transaction runs are registered together by the next one. The order is
 * crash-safe: file content and its name in incoming/ are synced, then rows are committed, then the file is renamed into
 * place, while the next batch is registered. A crash after the commit leaves a file in incoming/ whose row is known, and the next start renames it.
 */
export class CommitQueue {
  readonly #setup: CommitQueueSetup
  #waiting: Waiting[] = []
  #work: Promise<void> = Promise.resolve()
  /** Files of the batch before are put in place while the next one is registered. */
  #placing: Promise<void> = Promise.resolve()
  readonly #beingPlaced = new Set<string>()
  #folder: Promise<FileHandle> | undefined
  #scheduled = false
  #underWay = 0
  #changes = 0
  #changedAt = performance.now()

  constructor(setup: CommitQueueSetup) {
    this.#setup = setup
  }

  add(landed: LandedInstance): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ landed, resolve, reject })
      if (this.#scheduled) return
      this.#scheduled = true
      void this.#inTurn(() => this.#drain())
    })
  }

  /** Runs `work` while no batch is being committed: deleting must not meet a file that is just being put in place. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      await this.#placing
      return work()
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#counted(this.#work.then(work))
    this.#work = result.then(
      () => undefined,
      () => undefined, // whoever called gets the error; the queue goes on
    )
    return result
  }

  #counted<T>(work: Promise<T>): Promise<T> {
    this.#underWay++
    const ended = () => {
      this.#underWay--
      this.#changes++
      this.#changedAt = performance.now()
    }
    work.then(ended, ended)
    return work
  }

  /** Gives back what the queue holds open; nothing is added afterwards. */
  async close(): Promise<void> {
    await this.exclusively(async () => undefined)
    await (await this.#folder)?.close()
  }

  /** How long nothing has been changed, in ms; 0 while something is. */
  get quietMs(): number {
    return this.#underWay > 0 ? 0 : performance.now() - this.#changedAt
  }

  /** Tells what was looked at apart from the queue whether it stood still meanwhile: the same answer before and after, `busy` neither time. */
  get stamp(): number | 'busy' {
    return this.#underWay > 0 ? 'busy' : this.#changes
  }

  async #drain(): Promise<void> {
    this.#scheduled = false
    const batch = this.#takeBatch()
    if (this.#waiting.length > 0) {
      this.#scheduled = true
      void this.#inTurn(() => this.#drain())
    }
    // What waits is the content to come of instances that are being put in place.
    if (batch.length === 0) await this.#placing
    else await this.#settle(batch)
  }

  /** One instance per SOP Instance UID and batch, so that the second is compared with the first. */
  #takeBatch(): Waiting[] {
    const uids = new Set<string>()
    const batch: Waiting[] = []
    const later: Waiting[] = []
    for (const waiting of this.#waiting) {
      const uid = waiting.landed.values.sopInstanceUid ?? ''
      if (batch.length >= maxBatch || uids.has(uid) || this.#beingPlaced.has(uid)) later.push(waiting)
      else {
        uids.add(uid)
        batch.push(waiting)
      }
    }
    this.#waiting = later
    return batch
  }

  async #settle(batch: readonly Waiting[], retries = this.#setup.registrationRetries): Promise<void> {
    let registered: RegisteredBatch
    try {
      registered = await this.#register(
        batch.map(({ landed }) => landed),
        retries,
      )
    } catch (error) {
      const databaseGone = error instanceof DatabaseError && error.kind === 'unavailable'
      // One instance that the database cannot take must not fail its neighbours; they have been retried together already.
      if (batch.length > 1 && !databaseGone) for (const waiting of batch) await this.#settle([waiting], 0)
      else for (const waiting of batch) await this.#fail(waiting, error)
      return
    }
    await this.#placing
    for (const { landed } of batch) this.#beingPlaced.add(landed.values.sopInstanceUid ?? '')
    this.#placing = this.#counted(this.#finish(batch, registered))
      .catch((error: unknown) => {
        for (const { reject } of batch) reject(storageProblem(error))
      })
      .then(() => {
        for (const { landed } of batch) this.#beingPlaced.delete(landed.values.sopInstanceUid ?? '')
      })
  }

  async #register(landed: readonly LandedInstance[], retries: number): Promise<RegisteredBatch> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        // The names in incoming/ reach the disk while the rows are written, and before they are committed.
        const named = this.#syncIncoming()
        named.catch(() => undefined) // thrown below
        return await this.#setup.db.write(async (tx) => {
          const registered = await registerBatch(tx, landed, this.#setup, Date.now())
          await named
          return registered
        })
      } catch (error) {
        if (attempt >= retries || storageProblem(error).code === 'archive/out-of-space') throw error
        this.#setup.log.warn({ err: error, retry: attempt + 1, of: retries, instances: landed.length }, 'registration failed, trying again')
        await sleep(this.#setup.registrationRetryMs)
      }
    }
  }

  async #syncIncoming(): Promise<void> {
    this.#folder ??= open(this.#setup.folders.incoming, 'r')
    try {
      await (await this.#folder).sync()
    } catch (error) {
      this.#folder = undefined // opened anew for the next batch
      throw error
    }
  }

  /** The instance has no rows: its file goes to failed/ for a person to retry, or away when there is no room to keep it. */
  async #fail({ landed, reject }: Waiting, error: unknown): Promise<void> {
    const problem = storageProblem(error)
    this.#setup.log.error({ err: error, code: problem.code, sopInstanceUid: landed.values.sopInstanceUid }, 'instance not registered')
    try {
      if (problem.code === 'archive/failed') await this.#setup.onFailed(landed, problem)
      else await rm(landed.file, { force: true })
    } catch (failure) {
      this.#setup.log.error({ err: failure, file: landed.fileId }, 'instance left in incoming')
    }
    reject(problem)
  }

  /** The rows are committed. Whatever fails now is mended at the next start, so no file is thrown away here. */
  async #finish(batch: readonly Waiting[], { registrations, grown }: RegisteredBatch): Promise<void> {
    const committed: { landed: LandedInstance; receipt: Receipt; resolve: Waiting['resolve'] }[] = []
    await Promise.all(
      batch.map(async ({ landed, resolve, reject }, index) => {
        const registration = registrations[index]
        try {
          if (!registration) throw new Error('every landed instance is registered or refused')
          if (registration.kind === 'refused') {
            await rm(landed.file, { force: true })
            reject(registration.problem)
            return
          }
          await this.#place(landed, registration)
          if (registration.otherPatient) {
            const { sopInstanceUid, studyInstanceUid } = landed.values
            this.#setup.log.warn(
              { sopInstanceUid, studyInstanceUid, source: landed.source },
              'instance names another patient than its study',
            )
          }
          committed.push({ landed, receipt: receiptOf(landed, registration), resolve })
        } catch (error) {
          this.#setup.log.error({ err: error, sopInstanceUid: landed.values.sopInstanceUid }, 'file not put in place')
          reject(storageProblem(error))
        }
      }),
    )
    // Whatever follows from them, they are durable.
    await this.#setup.onCommitted(committed, grown).catch((error: unknown) => this.#setup.log.error({ err: error }, 'what follows a commit failed'))
    for (const { resolve, receipt } of committed) resolve(receipt)
  }

  async #place(landed: LandedInstance, registration: Exclude<Registration, { kind: 'refused' }>): Promise<void> {
    await landed.closed
    if (registration.kind === 'dropped') return rm(landed.file, { force: true })
    const { folders } = this.#setup
    await placeFile(folders, landed.file, registration.path, registration.previous)
    if (registration.leaves !== undefined) await rm(path.join(folders.root, registration.leaves), { force: true })
  }
}

/** Puts a registered file where its row says. Readers see the previous file or the new one, never none. */
export async function placeFile(
  folders: Folders,
  from: string,
  to: string,
  previous?: { readonly path: string; readonly keptAs: string },
): Promise<void> {
  const target = path.join(folders.root, to)
  if (previous)
    await link(path.join(folders.root, previous.path), path.join(folders.root, previous.keptAs)).catch(ignoreCode('ENOENT', 'EEXIST'))
  await rename(from, target).catch(async (error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error
    await mkdir(path.dirname(target), { recursive: true, mode: 0o750 })
    await rename(from, target)
  })
}

/** A previous file that is lost, or was kept already before a crash, does not stop the new one. */
const ignoreCode =
  (...codes: string[]) =>
  (error: unknown): void => {
    if (!codes.includes(codeOf(error) ?? '')) throw error
  }

/** Makes names in a folder durable (POSIX leaves that to the folder's own fsync). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function receiptOf(landed: LandedInstance, registration: Exclude<Registration, { kind: 'refused' }>): Receipt {
  const { values } = landed
  // incoming.ts and requireUid have checked all four.
  return {
    studyInstanceUid: values.studyInstanceUid as StudyInstanceUid,
    seriesInstanceUid: values.seriesInstanceUid as SeriesInstanceUid,
    sopInstanceUid: values.sopInstanceUid as SopInstanceUid,
    sopClassUid: values.sopClassUid as SopClassUid,
    transferSyntaxUid: landed.transferSyntaxUid as TransferSyntaxUid,
    sizeBytes: landed.sizeBytes,
    sm3: landed.sm3,
    outcome: registration.outcome,
  }
}
