import { HUB, isProblem, parseWith, type ProblemCode, services, SyncReply, type SyncRequest } from 'specs'
import type { Log } from '../log/index.ts'
import type { LinkCore } from './link-core.ts'
import type { Session } from './line.ts'
import { ourPosition, takeIn } from './sync.ts'
import { EARLY_SYNC } from './timing.ts'

export interface NodeSyncOptions {
  readonly core: LinkCore
  readonly log: Log
  readonly version: string
  readonly statusOf: () => SyncRequest['status'] | Promise<SyncRequest['status']>
}

const soonMs = 50

/** The node's heartbeat: tells the hub what it holds, hears what the hub holds, and notices a line that carries nothing. */
export class NodeSync {
  readonly #options: NodeSyncOptions
  #session: Session | undefined
  /** The session in which both ends have already told each other where they stand. */
  #synced: Session | undefined
  #wanted: { missing: boolean } | undefined
  #run: Promise<void> | undefined
  #silent = 0
  #takenSince = 0
  #takeBackHeartbeat: (() => void) | undefined
  #takeBackSoon: (() => void) | undefined

  constructor(options: NodeSyncOptions) {
    this.#options = options
  }

  begin(session: Session): void {
    this.#session = session
    this.#silent = 0
    session.signal.addEventListener('abort', () => {
      this.#takeBackHeartbeat?.()
      this.#takeBackSoon?.()
      this.#takeBackSoon = undefined
    })
    this.ask({ missing: true })
  }

  /** A person wants it now: both ends tell each other everything and send again what the other lacks. */
  again(): void {
    this.#synced = undefined
    this.ask({ missing: true })
  }

  /** Syncs now, or once more when one is under way. */
  ask(wanted: { missing: boolean }): void {
    this.#wanted = { missing: wanted.missing || (this.#wanted?.missing ?? false) }
    if (this.#session && !this.#session.signal.aborted) this.#run ??= this.#untilSynced()
  }

  /** Waits for a sync under way; its session must have ended. */
  async settle(): Promise<void> {
    await this.#run
  }

  noteTaken(): void {
    this.#takenSince += 1
    if (this.#takenSince >= EARLY_SYNC) this.#soon()
  }

  /** The other side may have taken much that we still count as under way. */
  notePublished(unconfirmed: number): void {
    if (unconfirmed >= EARLY_SYNC) this.#soon()
  }

  #soon(): void {
    if (this.#session === undefined || this.#session.signal.aborted) return
    this.#takeBackSoon ??= this.#options.core.clock.after(soonMs, () => {
      this.#takeBackSoon = undefined
      this.ask({ missing: false })
    })
  }

  async #untilSynced(): Promise<void> {
    const { core } = this.#options
    while (this.#wanted && this.#session && !this.#session.signal.aborted) {
      const session = this.#session
      const { missing } = this.#wanted
      this.#wanted = undefined
      this.#takeBackHeartbeat?.()
      await this.#attempt(session, missing || this.#synced !== session)
      if (!session.signal.aborted) this.#takeBackHeartbeat = core.clock.after(core.timing.heartbeatMs, () => this.ask({ missing: false }))
    }
    this.#run = undefined // in the same step as the look at `wanted`, or a wish in between would be forgotten
  }

  async #attempt(session: Session, missing: boolean): Promise<void> {
    try {
      await this.#once(session, missing)
    } catch (error) {
      this.#options.log.debug({ err: error }, 'sync with the hub failed')
      if (!session.signal.aborted) await this.#noteFailure(session, error)
    }
  }

  async #once(session: Session, missing: boolean): Promise<void> {
    const { core, version, statusOf } = this.#options
    this.#takenSince = 0
    const request: SyncRequest = { ...(await ourPosition(core, HUB, missing)), version, status: await statusOf() }
    const answer = await core.calls.request(HUB, services.sync, request, { timeoutMs: core.timing.answerTimeoutMs })
    const reply = parseWith(SyncReply, answer, 'sync reply')
    if (session.signal.aborted) return
    await takeIn(core, session, HUB, reply, { resend: this.#synced !== session })
    this.#synced = session
    this.#silent = 0
    core.lastSyncAt = core.clock.now()
    core.line.report('connected', null)
    if (core.publisherOf(HUB).unconfirmed >= EARLY_SYNC) this.#soon()
  }

  async #noteFailure(session: Session, error: unknown): Promise<void> {
    const { core } = this.#options
    const problem: ProblemCode = isProblem(error) ? error.code : 'service/internal'
    core.line.report(problem.startsWith('certificate/') ? 'refused' : 'disconnected', problem)
    // When the server says that nobody listens, the line itself is well: the hub is away.
    const silent = isProblem(error) && error.code === 'region/hub-unreachable' && error.facts['silent'] === true
    this.#silent = silent ? this.#silent + 1 : 0
    if (this.#silent >= core.timing.silentSyncs) await core.line.drop(session, `${this.#silent} syncs without an answer`)
  }
}
