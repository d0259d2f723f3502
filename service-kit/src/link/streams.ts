import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  jetstreamManager,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream'
import { nanos, type NatsConnection } from '@nats-io/transport-node'
import { type HospitalId, type RegionId, streams, subjects } from 'specs'

/** Repetitions of a publication that was not acknowledged fall into this window; what comes later is recognised by its number. */
const duplicateWindowMs = 120_000
const streamNotFound = 10059

/** What the hub sets up in JetStream. Repeating it changes nothing, so it is done at every connection: the store may be new. */
export class Streams {
  readonly #manager: JetStreamManager
  readonly #regionId: RegionId

  private constructor(manager: JetStreamManager, regionId: RegionId) {
    this.#manager = manager
    this.#regionId = regionId
  }

  /** @param maxAgeMs messages older than this are dropped by the server; their senders still hold them. */
  static async ensure(nats: NatsConnection, regionId: RegionId, { maxAgeMs }: { maxAgeMs: number }): Promise<Streams> {
    const made = new Streams(await jetstreamManager(nats, { checkAPI: false, timeout: 5_000 }), regionId)
    await made.#ensureStream(streams.toHub(regionId), subjects.allToHub(regionId), maxAgeMs)
    await made.#ensureStream(streams.toNodes(regionId), subjects.allToNodes(regionId), maxAgeMs)
    await made.#ensureConsumer(streams.toHub(regionId), { durable_name: streams.hubConsumer })
    return made
  }

  async ensureNodeConsumer(hospitalId: HospitalId): Promise<void> {
    await this.#ensureConsumer(streams.toNodes(this.#regionId), {
      durable_name: streams.nodeConsumer(hospitalId),
      filter_subject: subjects.toNode(this.#regionId, hospitalId),
    })
  }

  /** Empties a hospital's queue, because all of it is going to be sent again. */
  async purgeNode(hospitalId: HospitalId): Promise<void> {
    await this.#manager.streams.purge(streams.toNodes(this.#regionId), { filter: subjects.toNode(this.#regionId, hospitalId) })
  }

  /** Work-queue retention: a message is gone once its receiver has acknowledged it. */
  async #ensureStream(name: string, subject: string, maxAgeMs: number): Promise<void> {
    const config = { subjects: [subject], max_age: nanos(maxAgeMs), duplicate_window: nanos(duplicateWindowMs) }
    try {
      await this.#manager.streams.info(name)
      await this.#manager.streams.update(name, config)
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === streamNotFound)) throw error
      await this.#manager.streams.add({
        ...config,
        name,
        retention: RetentionPolicy.Workqueue,
        storage: StorageType.File,
        discard: DiscardPolicy.Old,
      })
    }
  }

  /** No limit of unacknowledged messages: after a few cut lines it would be used up by those that went into dead connections. */
  async #ensureConsumer(stream: string, config: Partial<ConsumerConfig>): Promise<void> {
    await this.#manager.consumers.add(stream, {
      ...config,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(30_000),
      max_deliver: -1,
      max_ack_pending: -1,
    })
  }
}
