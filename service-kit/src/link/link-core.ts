import { jetstream } from '@nats-io/jetstream'
import { encryptionCertificateOf, Opener, ReplayGuard, Sealer } from 'pki'
import { isProblemCode, type MessageId, MessageRetry, parseWith, type PartyId, Problem, type ProblemCode, services } from 'specs'
import type { Transaction } from '../database/index.ts'
import { type ByteService, type CallOptions, Calls, parseJson, type Service } from './calls.ts'
import { type Clock, pause, systemClock } from './clock.ts'
import { Inbox, type MessageHandler } from './inbox.ts'
import { Line, type LineStatus, type Session } from './line.ts'
import type { Link, LinkOptions, LinkState, WaitingMessage } from './link.ts'
import { listMessages, type MessageFilter } from './message-list.ts'
import { Outbox, type Unanswered } from './outbox.ts'
import { Publisher } from './publisher.ts'
import { Receiver } from './receiver.ts'
import { RefusalStore } from './refusal.ts'
import { type Timing, usualTiming } from './timing.ts'

/** What differs between a node and the hub. */
export interface Role {
  readonly own: PartyId
  readonly inboxPrefix: string
  subjectTo(peer: PartyId): string
  /** Sets up a new connection: streams, reading, first sync. */
  onSession(session: Session): Promise<void>
  onTaken(from: PartyId): void
  onGap(from: PartyId, last: number): void
  /** Asks the other ends at once what they hold. */
  syncNow(): void
  /** A message was handed to JetStream. */
  onPublished(publisher: Publisher): void
  /** Waits for what goes on outside the parts shared here, after the connection has ended. */
  settle(): Promise<void>
}

/** The parts that node and hub share, joined together. */
export class LinkCore implements Link {
  readonly clock: Clock
  readonly timing: Timing
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly refusalStore: RefusalStore
  readonly receiver: Receiver
  readonly calls: Calls
  readonly line: Line
  lastSyncAt: number | null = null
  readonly #options: LinkOptions
  readonly #role: Role
  readonly #sealer: Sealer
  /** Content inside messages: its age does not matter, the message's own does. */
  readonly #contentOpener: Opener
  readonly #handlers = new Map<string, MessageHandler>()
  readonly #publishers = new Map<PartyId, Publisher>()
  readonly #listeners = new Set<(state: LinkState) => void>()
  readonly #published
  readonly #connected
  #upkeeping: Promise<void> = Promise.resolve()
  #takeBackUpkeep: (() => void) | undefined

  constructor(options: LinkOptions, role: Role) {
    const { db, log, metrics, identity, trust } = options
    const clock = options.clock ?? systemClock
    const timing = { ...usualTiming, ...options.timing }
    const now = () => clock.now()
    this.#options = options
    this.#role = role
    this.clock = clock
    this.timing = timing
    this.outbox = new Outbox(db, clock)
    this.inbox = new Inbox(
      db,
      clock,
      (kind) => this.#handlers.get(kind) ?? (() => Promise.reject(new Problem('message/unknown-kind', { kind }))),
    )
    this.refusalStore = new RefusalStore({ db, log, metrics, clock, onRefusal: options.onRefusal })
    this.#sealer = new Sealer(identity, { now })
    this.#contentOpener = new Opener(identity, trust, { now, maxAgeMs: timing.messageMaxAgeMs })
    const refusals = this.refusalStore
    this.receiver = new Receiver({
      opener: new Opener(identity, trust, { now, maxAgeMs: timing.messageMaxAgeMs }),
      inbox: this.inbox,
      refusals,
      clock,
      log,
      metrics,
      onTaken: (from) => role.onTaken(from),
      onGap: (from, last) => role.onGap(from, last),
    })
    this.calls = new Calls({
      regionId: options.regionId,
      own: role.own,
      sealer: this.#sealer,
      opener: new Opener(identity, trust, { now, maxAgeMs: timing.callMaxAgeMs }),
      guard: new ReplayGuard({ now, maxAgeMs: timing.callMaxAgeMs }),
      refusals,
      log,
      defaultTimeoutMs: timing.answerTimeoutMs,
      certificateOf: options.certificateOf,
      session: () => this.line.session,
    })
    this.line = new Line({
      name: role.own,
      natsUrl: options.natsUrl,
      natsTrust: options.natsTrust,
      addressOf: options.addressOf,
      credentials: options.natsCredentials,
      inboxPrefix: role.inboxPrefix,
      clock,
      timing,
      log,
      onSession: async (session) => {
        this.calls.listen(session)
        await role.onSession(session)
      },
      onStatus: (status) => this.#announce(status),
    })
    this.calls.serve(services.messageRetry, async ({ from, body }) => {
      const { id } = parseWith(MessageRetry, body, services.messageRetry)
      await this.inbox.retry(id, from)
      return null
    })
    this.#published = metrics.counter('lianpian_link_published_total', 'Messages acknowledged by JetStream', [])
    this.#connected = metrics.gauge('lianpian_link_connected', '1 while the other end of the link answers', [])
  }

  onMessage(kind: string, handler: MessageHandler): void {
    if (this.#handlers.has(kind)) throw new Error(`messages of kind ${kind} have a handler already`)
    this.#handlers.set(kind, handler)
  }

  async post(tx: Transaction, to: PartyId, kind: string, body: unknown): Promise<{ id: MessageId; seq: number }> {
    const added = await this.outbox.add(tx, to, kind, body)
    tx.afterCommit(() => this.publisherOf(to).wake())
    return added
  }

  request(to: PartyId, service: string, body: unknown, options?: CallOptions): Promise<unknown> {
    return this.calls.request(to, service, body, options)
  }

  serve(service: string, answer: Service): void {
    this.calls.serve(service, answer)
  }

  requestBytes(to: PartyId, service: string, bytes: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.calls.requestBytes(to, service, bytes, options)
  }

  serveBytes(service: string, answer: ByteService): void {
    this.calls.serveBytes(service, answer)
  }

  sealFor(parties: readonly PartyId[], value: unknown): string {
    const recipients = parties.map((party) => {
      const certificate = party === this.#role.own ? encryptionCertificateOf(this.#options.identity) : this.#options.certificateOf(party)
      if (certificate === undefined) throw new Problem('region/unknown-hospital', { hospitalId: party })
      return certificate
    })
    return this.#sealer.seal({ recipients, body: JSON.stringify(value ?? null) })
  }

  openSealed(text: string, { from }: { from: PartyId }): unknown {
    return parseJson(this.#contentOpener.open(text, { from, anyAge: true }))
  }

  start(): void {
    // What others of the region can reach here; the access matrix is held against it.
    this.#options.log.info({ kinds: [...this.#handlers.keys()].sort(), calls: this.calls.served }, 'open to the region')
    this.line.start()
    this.#upkeep()
  }

  async stop(): Promise<void> {
    this.#takeBackUpkeep?.()
    // Answers being made are still sent; the connection ends even if one takes for ever.
    const answered = new AbortController()
    await Promise.race([this.calls.settle(), pause(this.clock, this.timing.answerTimeoutMs, answered.signal)])
    answered.abort()
    await this.line.stop()
    const publishers = [...this.#publishers.values()]
    await Promise.all([this.#role.settle(), this.receiver.settle(), this.#upkeeping, ...publishers.map((publisher) => publisher.settle())])
  }

  status(): LinkState {
    return { ...this.line.status, lastSyncAt: this.lastSyncAt }
  }

  onStatus(listener: (state: LinkState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  messages(filter?: MessageFilter) {
    return listMessages(this.#options.db, filter)
  }

  refusals(options?: { limit?: number }) {
    return this.refusalStore.list(options)
  }

  refusedText(id: string): Promise<string | undefined> {
    return this.refusalStore.raw(id)
  }

  async counts(): Promise<{ pendingMessages: number; refusedMessages: number }> {
    const [pendingMessages, refused, failed] = await Promise.all([
      this.outbox.pendingCount(),
      this.refusalStore.count(),
      this.inbox.failedCount(),
    ])
    return { pendingMessages, refusedMessages: refused + failed }
  }

  async retry(id: MessageId): Promise<void> {
    const ours = await this.outbox.find(id)
    if (ours === undefined) return this.inbox.retry(id)
    if (ours.problemCode !== null) await this.request(ours.peer, services.messageRetry, { id })
    else if (ours.state === 'delivered') throw new Problem('message/not-failed', { messageId: id })
    this.tryNow()
  }

  tryNow(): void {
    this.line.hurry()
    for (const publisher of this.#publishers.values()) publisher.wake()
    this.#role.syncNow()
  }

  async unanswered({ limit = 200 }: { limit?: number } = {}): Promise<WaitingMessage[]> {
    return (await this.outbox.unanswered(limit)).map((message) => this.#waiting(message))
  }

  async sent(id: MessageId): Promise<(WaitingMessage & { deliveredAt: number | null }) | undefined> {
    const message = await this.outbox.find(id)
    return message && { ...this.#waiting(message), deliveredAt: message.deliveredAt }
  }

  async repeat(tx: Transaction, id: MessageId): Promise<MessageId | undefined> {
    const again = await this.outbox.repeat(tx, id)
    if (again) tx.afterCommit(() => this.publisherOf(again.peer).wake())
    return again?.id
  }

  /** Error answers have come, or have been settled: pages that show them look again. */
  noteAnswers(): void {
    this.#announce(this.line.status)
  }

  /** The nearest cause: the other side's own words, what publishing met, or the line. */
  #waiting({ problemCode, state, ...message }: Unanswered): WaitingMessage {
    if (problemCode !== null && state === 'delivered') {
      return { ...message, state: 'failed-there', problem: isProblemCode(problemCode) ? problemCode : 'service/internal' }
    }
    const met: ProblemCode | null = state === 'pending' ? (this.#publishers.get(message.peer)?.problem ?? null) : null
    return { ...message, state, problem: state === 'delivered' ? null : (met ?? this.line.status.problem) }
  }

  publisherOf(peer: PartyId): Publisher {
    const held = this.#publishers.get(peer)
    if (held) return held
    const { outbox, clock, timing } = this
    const publisher = new Publisher(peer, {
      outbox,
      clock,
      timing,
      log: this.#options.log,
      port: {
        seal: (to, id, posting) => {
          const certificate = this.#options.certificateOf(to)
          return certificate && this.#sealer.seal({ id, recipients: [certificate], body: JSON.stringify(posting) })
        },
        publish: async (to, text, dedupeId) => {
          await this.#publish(to, text, dedupeId)
          this.#published.inc()
          this.#role.onPublished(publisher)
        },
      },
    })
    this.#publishers.set(peer, publisher)
    return publisher
  }

  async #publish(to: PartyId, text: string, dedupeId: string): Promise<void> {
    const session = this.line.session
    if (session === undefined) throw new Problem('region/hub-unreachable')
    await jetstream(session.nats).publish(this.#role.subjectTo(to), text, { msgID: dedupeId, timeout: this.timing.answerTimeoutMs })
  }

  #announce(status: LineStatus): void {
    this.#connected.set(status.state === 'connected' ? 1 : 0)
    for (const listener of this.#listeners) listener({ ...status, lastSyncAt: this.lastSyncAt })
  }

  /** Rows that have done their work do not stay for ever. */
  #upkeep(): void {
    const before = this.clock.now() - this.timing.keepMs
    this.#upkeeping = Promise.all([this.outbox.forgetDeliveredBefore(before), this.inbox.forgetDoneBefore(before)]).then(
      () => undefined,
      (error: unknown) => this.#options.log.warn({ err: error }, 'old messages could not be removed'),
    )
    this.#takeBackUpkeep = this.clock.after(3_600_000, () => this.#upkeep())
  }
}
