import { z } from 'zod'
import { EpochMs, HospitalId, RegionId } from '../identifiers.ts'
import { Directory, HospitalConfig } from '../federation/messages.ts'
import { ConsultEvent, ConsultFacts, ConsultState, Holder } from '../consult/messages.ts'
import { Right } from '../access/rights.ts'

export const Credentials = z.object({ username: z.string().min(1).max(64), password: z.string().min(1).max(200) })
export const HubUser = z.object({ id: z.string(), username: z.string(), name: z.string(), roles: z.array(z.string()), rights: z.array(Right) })
export type HubUser = z.infer<typeof HubUser>
export const HubSession = z.object({ token: z.string(), user: HubUser })

/** GET /api/region, no login: what a node must know before it can join. */
export const RegionInfo = z.object({ regionId: RegionId, name: z.string(), rootCertificate: z.string(), natsUrl: z.string(), version: z.string() })
export type RegionInfo = z.infer<typeof RegionInfo>

/** POST /api/join, no login but a one-time code. `csr` is a PEM certificate request (PKCS#10, SM2). */
export const JoinRequest = z.object({ code: z.string().min(8).max(200), csr: z.string().max(8_000), encryptionCsr: z.string().max(8_000).optional(), agentVersion: z.string().max(32) })
export type JoinRequest = z.infer<typeof JoinRequest>
export const JoinResponse = z.object({
  regionId: RegionId,
  regionName: z.string(),
  hospital: HospitalConfig,
  /** PEM: leaf, region CA. */
  certificateChain: z.array(z.string()).min(2),
  /** PEM leaf for a second key that only receives, when the request named one. */
  encryptionCertificate: z.string().optional(),
  rootCertificate: z.string(),
  /** PEM chain of the hub, leaf first: envelopes to the hub are encrypted for it. */
  hubCertificateChain: z.array(z.string()).min(2),
  crl: z.string(),
  natsUrl: z.string(),
  /** NATS user JWT and nkey seed of this node, creds file format. */
  natsCredentials: z.string(),
  directory: Directory,
})
export type JoinResponse = z.infer<typeof JoinResponse>

export const HospitalRow = HospitalConfig.extend({
  joined: z.boolean(),
  revoked: z.boolean(),
  online: z.boolean(),
  lastSeenAt: EpochMs.nullable(),
  certificateSerial: z.string().nullable(),
  certificateExpires: EpochMs.nullable(),
  agentVersion: z.string().nullable(),
  pendingMessages: z.number().int(),
  refusedMessages: z.number().int(),
  studies: z.number().int(),
  instances: z.number().int(),
  freeBytes: z.number(),
  transfersActive: z.number().int(),
})
export type HospitalRow = z.infer<typeof HospitalRow>

export const JoinCode = z.object({ code: z.string(), hospitalId: HospitalId, expires: EpochMs })
export type JoinCode = z.infer<typeof JoinCode>

export const TaskRow = z.object({
  taskId: z.string(),
  regionId: RegionId,
  submitter: HospitalId,
  state: ConsultState,
  revision: z.number().int(),
  holder: Holder.nullable(),
  facts: ConsultFacts.omit({ grant: true }),
  createdAt: EpochMs,
  updatedAt: EpochMs,
  imagesArrivedAt: z.array(HospitalId),
})
export type TaskRow = z.infer<typeof TaskRow>
/** Events without sealed content: the time line (CON-01). */
export const TimelineEvent = ConsultEvent.omit({ sealed: true, facts: true })
export type TimelineEvent = z.infer<typeof TimelineEvent>
export const TaskDetail = TaskRow.extend({ events: z.array(TimelineEvent) })
export type TaskDetail = z.infer<typeof TaskDetail>

/** A refusal kept where a person can see it. */
export const RefusalRow = z.object({ id: z.string(), at: EpochMs, source: z.string(), code: z.string(), title: z.string(), facts: z.record(z.string(), z.unknown()) })
export type RefusalRow = z.infer<typeof RefusalRow>

/** GET /api/messages/waiting of the hub: what a hospital has not taken, or has answered with an error (AGT-07). */
export const HospitalWaitingRow = z.object({
  messageId: z.string(),
  hospitalId: z.string(),
  kind: z.string(),
  since: EpochMs,
  state: z.enum(['pending', 'published', 'delivered', 'failed-there']),
  attempts: z.number().int(),
  lastTriedAt: EpochMs.nullable(),
  problem: z.object({ code: z.string(), title: z.string() }).nullable(),
})
export type HospitalWaitingRow = z.infer<typeof HospitalWaitingRow>

export const Page = <T extends z.ZodType>(row: T) => z.object({ rows: z.array(row), total: z.number().int(), next: z.string().nullable() })
