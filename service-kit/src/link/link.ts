import type { Certificate, Identity, TrustStore } from 'pki'
import type { EpochMs, HospitalId, MessageId, MessageRow, PartyId, ProblemCode, RefusalRow, RegionId, SyncRequest } from 'specs'
import type { Database, Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'
import type { ByteService, CallOptions, Service } from './calls.ts'
import type { Clock } from './clock.ts'
import type { MessageHandler } from './inbox.ts'
import type { MessageFilter } from './message-list.ts'
import type { NatsTrust } from './nats-tls.ts'
import type { Refusal } from './refusal.ts'
import type { Timing } from './timing.ts'

export interface LinkOptions {
  readonly db: Database
  readonly log: Log
  readonly metrics: Metrics
  readonly regionId: RegionId
  readonly natsUrl: string
  /** Whether and how TLS is spoken there; what `natsUrl` itself says unless told. */
  readonly natsTrust?: NatsTrust
  /** Judges and resolves the server's host before each connection; what it answers is connected to. */
  readonly addressOf?: (host: string) => Promise<string>
  /** Content of a `.creds` file. */
  readonly natsCredentials: string
  readonly identity: Identity
  readonly trust: TrustStore
  /** Certificate to seal for; undefined for a party that is unknown or may no longer be written to. Asked at every use. */
  readonly certificateOf: (party: PartyId) => Certificate | undefined
  readonly onRefusal?: (refusal: Refusal) => void
  readonly timing?: Partial<Timing>
  readonly clock?: Clock
}

export interface NodeLinkOptions extends LinkOptions {
  readonly hospitalId: HospitalId
  /** Used as long as `certificateOf` knows none of the hub. */
  readonly hubCertificate: Certificate
  readonly heartbeatMs?: number
  readonly version?: string
  /** Operating facts told to the hub with every heartbeat. */
  readonly statusOf: () => SyncRequest['status'] | Promise<SyncRequest['status']>
}

export interface HubLinkOptions extends LinkOptions {
  /** Hospitals that have joined and are not revoked; asked at every connection. */
  readonly hospitals: () => readonly HospitalId[] | Promise<readonly HospitalId[]>
  /** A node is there and said this of itself. */
  readonly onSync?: (hospitalId: HospitalId, request: SyncRequest) => void | Promise<void>
}

export interface LinkState {
  /** `connected`: the other end answers. `refused`: the server or the hub does not let us in. */
  readonly state: 'connecting' | 'connected' | 'disconnected' | 'refused'
  readonly since: EpochMs
  readonly lastSyncAt: EpochMs | null
  readonly problem: ProblemCode | null
  /** Attempts in vain since the other end answered last. */
  readonly failures: number
  readonly lastTriedAt: EpochMs
}

/** A message of ours that waits for the other side (AGT-07): since when, how often it was tried, and what stands in the way. */
export interface WaitingMessage {
  readonly id: MessageId
  readonly peer: PartyId
  readonly seq: number
  readonly kind: string
  /** `failed-there`: taken by the other side and answered with an error. */
  readonly state: 'pending' | 'published' | 'delivered' | 'failed-there'
  readonly since: EpochMs
  /** Publications; while there is no line nothing is tried but the line itself, see LinkState. */
  readonly attempts: number
  readonly lastTriedAt: EpochMs | null
  readonly problem: ProblemCode | null
}

/**
 * Everything an organisation says to and hears from the others. Works without a connection: `post` saves and returns,
 * delivery happens when it can, in order, with one effect.
 */
export interface Link {
  /** One handler per kind, before `start`. It runs in the transaction that records the message. */
  onMessage(kind: string, handler: MessageHandler): void
  /**
   * Sends a message with the fact that it tells of: both exist after the commit of `tx`, or neither.
   * @param body JSON of at most 2 MiB. @throws {Problem} request/too-large.
   */
  post(tx: Transaction, to: PartyId, kind: string, body: unknown): Promise<{ id: MessageId; seq: number }>
  /** Sealed question and sealed answer. @throws {Problem} what the service refused with, or region/hub-unreachable, region/hospital-offline. */
  request(to: PartyId, service: string, body: unknown, options?: CallOptions): Promise<unknown>
  serve(service: string, answer: Service): void
  /** Bytes that the caller has protected itself, at most 8 MB. Problems of the service come as their code alone. */
  requestBytes(to: PartyId, service: string, bytes: Uint8Array, options?: CallOptions): Promise<Uint8Array>
  serveBytes(service: string, answer: ByteService): void
  /** Content inside a message that only `parties` can read. @throws {Problem} region/unknown-hospital. */
  sealFor(parties: readonly PartyId[], value: unknown): string
  /** @returns the value, still unparsed. @throws {Problem} certificate/…, envelope/…: not sealed by `from`, or not for us. */
  openSealed(text: string, expect: { from: PartyId }): unknown
  start(): void
  /** Finishes what is being handled; what is not sent stays in the outbox. */
  stop(): Promise<void>
  status(): LinkState
  /** @returns a function that ends the listening. */
  onStatus(listener: (state: LinkState) => void): () => void
  messages(filter?: MessageFilter): Promise<(MessageRow & { peer: PartyId })[]>
  refusals(options?: { limit?: number }): Promise<(RefusalRow & { subject: string })[]>
  refusedText(id: string): Promise<string | undefined>
  /** For pages and heartbeats: messages not yet taken by the other side; refusals and failed messages together. */
  counts(): Promise<{ pendingMessages: number; refusedMessages: number }>
  /** Oldest first: what the other side has not taken, and what it has answered with an error. */
  unanswered(options?: { limit?: number }): Promise<WaitingMessage[]>
  /** One of our messages, as long as it is kept. */
  sent(id: MessageId): Promise<(WaitingMessage & { deliveredAt: EpochMs | null }) | undefined>
  /**
   * Sends the content of an earlier message again, as a new one, because its answer never came; the receiver must know it
   * by an id inside. @returns the new message's id, undefined when the content is no longer kept.
   */
  repeat(tx: Transaction, id: MessageId): Promise<MessageId | undefined>
  /** Tries the line, and whatever waits, without waiting for the next time. */
  tryNow(): void
  /**
   * A person has removed the cause. A message that failed here is handled again; one that failed at the other side is
   * handled there again; one that waits is tried now.
   * @throws {Problem} request/not-found, message/not-failed, region/hub-unreachable, or the handler's refusal.
   */
  retry(id: MessageId): Promise<void>
}

export interface HubLink extends Link {
  /** Makes the server keep messages for a hospital that is about to join. */
  ensureNodeConsumer(hospitalId: HospitalId): Promise<void>
}
