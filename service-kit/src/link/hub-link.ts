import {
  HUB,
  HospitalId,
  inboxPrefix,
  parseHospitalId,
  parseWith,
  Problem,
  services,
  streams,
  subjects,
  type SyncReply,
  SyncRequest,
} from 'specs'
import { GapThrottle } from './gap-throttle.ts'
import type { Session } from './line.ts'
import type { HubLink, HubLinkOptions } from './link.ts'
import { LinkCore } from './link-core.ts'
import { Streams } from './streams.ts'
import { readStream } from './stream-reader.ts'
import { ourPosition, takeIn } from './sync.ts'
import { linkMigrations } from './tables.ts'

/** The hub's link to all nodes of its region. Nothing happens on the network before `start`. */
export async function createHubLink(options: HubLinkOptions): Promise<HubLink> {
  await options.db.migrate('link', linkMigrations)
  return new HubLinkCore(options)
}

class HubLinkCore extends LinkCore implements HubLink {
  readonly #hub: HubLinkOptions
  readonly #gaps = new GapThrottle()
  /** Senders of whom something is missing; told in the answer to their next sync. */
  readonly #missingFrom = new Set<HospitalId>()
  #streams: Streams | undefined

  constructor(options: HubLinkOptions) {
    super(options, {
      own: HUB,
      inboxPrefix: inboxPrefix(HUB),
      subjectTo: (peer) => subjects.toNode(options.regionId, parseHospitalId(peer)),
      onSession: (session) => this.#setUp(session),
      onTaken: () => {},
      onGap: (from, last) => this.#askForMissing(parseHospitalId(from), last),
      syncNow: () => void this.#syncNow(),
      onPublished: () => {},
      settle: () => Promise.resolve(),
    })
    this.#hub = options
    this.serve(services.sync, ({ from, body }) => this.#answerSync(parseHospitalId(from), parseWith(SyncRequest, body, 'sync')))
  }

  async ensureNodeConsumer(hospitalId: HospitalId): Promise<void> {
    await this.#streams?.ensureNodeConsumer(hospitalId) // otherwise at the next connection, as one of `hospitals`
  }

  async #setUp(session: Session): Promise<void> {
    const { regionId, hospitals, log } = this.#hub
    // Younger than what receivers refuse as expired: the server drops old copies, sync brings fresh ones.
    this.#streams = await Streams.ensure(session.nats, regionId, { maxAgeMs: this.timing.messageMaxAgeMs / 2 })
    const known = await hospitals()
    for (const hospitalId of known) await this.#streams.ensureNodeConsumer(hospitalId)
    void readStream(session, {
      stream: streams.toHub(regionId),
      consumer: streams.hubConsumer,
      onMessage: async (message) => {
        const sender = HospitalId.safeParse(message.subject.split('.')[3])
        if (sender.success) return this.receiver.offer(message, sender.data, session)
        // Only hospitals can publish here; whoever is not one had the server's own keys.
        await this.refusalStore.keep({
          subject: message.subject,
          claimedSender: '',
          raw: message.data,
          error: new Problem('envelope/wrong-sender'),
        })
        message.ack()
      },
      clock: this.clock,
      log,
    })
    this.line.report('connected', null)
    for (const hospitalId of known) this.#askToSync(hospitalId)
  }

  async #answerSync(from: HospitalId, request: SyncRequest): Promise<SyncReply> {
    const session = this.line.session
    if (session) {
      if (request.missing) await this.#purge(from)
      await takeIn(this, session, from, request, { resend: false })
    }
    this.lastSyncAt = this.clock.now()
    await this.#hub.onSync?.(from, request)
    return { ...(await ourPosition(this, from, this.#missingFrom.delete(from))), now: this.clock.now() }
  }

  /** Copies that wait behind a dead connection would only delay the fresh ones; if they stay, nothing is wrong. */
  async #purge(hospitalId: HospitalId): Promise<void> {
    try {
      await this.#streams?.purgeNode(hospitalId)
    } catch (error) {
      this.#hub.log.warn({ err: error, hospitalId }, 'old copies of messages could not be removed')
    }
  }

  async #syncNow(): Promise<void> {
    for (const hospitalId of await this.#hub.hospitals()) this.#askToSync(hospitalId)
  }

  #askForMissing(from: HospitalId, last: number): void {
    if (!this.#gaps.shouldAsk(from, last, this.clock.now())) return
    this.#missingFrom.add(from)
    this.#askToSync(from)
  }

  #askToSync(hospitalId: HospitalId): void {
    this.request(hospitalId, services.sync, null).catch((error: unknown) =>
      this.#hub.log.debug({ err: error, hospitalId }, 'node not there to sync'),
    )
  }
}
