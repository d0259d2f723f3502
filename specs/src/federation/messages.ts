import { z } from 'zod'
import { EpochMs, HospitalId, MessageId, RegionId } from '../identifiers.ts'
import { NatsTrust } from './nats-trust.ts'

/**
 * What is inside an envelope between a node and the hub. `seq` counts per pair of parties and direction, from 1,
 * without gaps: the receiver takes only `last + 1`; anything else is a repetition or shows a loss.
 */
export const Posting = z.object({ seq: z.number().int().positive(), kind: z.string().max(64), body: z.unknown() })
export type Posting = z.infer<typeof Posting>

/** What one end holds of the traffic with the other; the same in both directions. */
const position = {
  receivedUpTo: z.number().int().nonnegative(),
  sentUpTo: z.number().int().nonnegative(),
  /** Id of the message `receivedUpTo`: shows a sender restored from a backup that it numbers anew what was numbered before. */
  receivedId: MessageId.optional(),
  /** The oldest message the sender can still resend. */
  heldFrom: z.number().int().positive().optional(),
  /** What follows `receivedUpTo` will not come by itself (a gap was seen, or the connection is new): resend it now. */
  missing: z.boolean().optional(),
  /**
   * The error answers (AGT-07): messages of the other end that were taken and could not be processed, by their id. All
   * others up to `receivedUpTo` are accepted and done. One that is processed later leaves the list.
   */
  failed: z.array(z.object({ id: MessageId, code: z.string().max(64) })).max(100).optional(),
}

/** Both ends tell what they hold; each resends what the other lacks. Asked on every (re)connect and as heartbeat. */
export const SyncRequest = z.object({
  ...position,
  version: z.string().max(32),
  /** Operating facts shown in the console; never patient data. */
  status: z.object({
    pendingMessages: z.number().int().nonnegative(),
    refusedMessages: z.number().int().nonnegative(),
    studies: z.number().int().nonnegative(),
    instances: z.number().int().nonnegative(),
    freeBytes: z.number().nonnegative(),
    transfersActive: z.number().int().nonnegative(),
    address: z.string().max(200),
  }),
})
export type SyncRequest = z.infer<typeof SyncRequest>
export const SyncReply = z.object({ ...position, now: EpochMs })
export type SyncReply = z.infer<typeof SyncReply>

export const HospitalKind = z.enum(['submitter', 'processor', 'data-centre'])
export type HospitalKind = z.infer<typeof HospitalKind>
/** 区域书写, 区域审核, 区域会诊 (FED-13). */
export const TaskType = z.enum(['writing', 'review', 'consultation'])
export type TaskType = z.infer<typeof TaskType>
/** 推送, 查询 (FED-14). */
export const FlowMode = z.enum(['push', 'pull'])
export type FlowMode = z.infer<typeof FlowMode>

export const HospitalConfig = z.object({
  id: HospitalId,
  /** 医院名称 */
  name: z.string().trim().min(1).max(60),
  /** 医院代码: 统一社会信用代码 or 医疗机构编码 (FED-08) */
  code: z.string().trim().min(1).max(22),
  /** 院侧代理地址, as users of the hospital reach it; shown, never connected to by the hub (outbound only). */
  agentAddress: z.string().trim().max(200).default(''),
  kinds: z.array(HospitalKind).min(1),
  taskTypes: z.array(TaskType),
  flowModes: z.array(FlowMode),
})
export type HospitalConfig = z.infer<typeof HospitalConfig>

export const DirectoryEntry = HospitalConfig.extend({
  /** Leaf certificate, PEM; empty before the hospital has joined. */
  certificate: z.string(),
  /** What to seal for, where the hospital uses a second certificate for that. */
  encryptionCertificate: z.string().optional(),
  revoked: z.boolean(),
})
export type DirectoryEntry = z.infer<typeof DirectoryEntry>

/** Hub → every node whenever the registry changes: whole and versioned, so the newest replaces all before it. */
export const Directory = z.object({
  version: z.number().int().positive(),
  regionId: RegionId,
  regionName: z.string(),
  natsTrust: NatsTrust.optional(),
  hospitals: z.array(DirectoryEntry),
  /** PEM certificate revocation list of the region CA. */
  crl: z.string(),
  /** PEM, region CAs of before a change of key, newest first: what they certified counts until its end, or until their own. */
  formerAuthorities: z.array(z.string()).max(20).optional(),
  /** PEM, the newest list of each of them. */
  formerCrls: z.array(z.string()).max(20).optional(),
  /** The root's own list, which may name a region CA. */
  rootCrl: z.string().optional(),
  /** PEM, hub's leaf first, then the region CA as it is certified now: both are renewed while nodes are members. */
  hubCertificateChain: z.array(z.string()).min(2).optional(),
})
export type Directory = z.infer<typeof Directory>

/** Message kinds node → hub and hub → node. */
export const kinds = {
  directory: 'region.directory',
  consultCommand: 'consult.command',
  consultEvent: 'consult.event',
  consultAnswer: 'consult.answer',
  problemReport: 'region.problem',
  parametersChanged: 'region.parameters',
} as const

/** A refusal at a node that the region's administrator should see (bad envelopes, full disk). */
export const ProblemReport = z.object({ at: EpochMs, code: z.string().max(64), facts: z.record(z.string(), z.unknown()) })
export type ProblemReport = z.infer<typeof ProblemReport>

/** Sealed body of a core request. The service is repeated inside, so that a request cannot be moved to another service. */
export const CallRequest = z.object({ service: z.string().max(64), body: z.unknown() })
export type CallRequest = z.infer<typeof CallRequest>
/** Sealed answer; `inReplyTo` is the id of the envelope it answers, so that an old answer cannot serve a new request. */
export const CallReply = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('answer'), inReplyTo: MessageId, body: z.unknown() }),
  z.object({
    outcome: z.literal('problem'),
    inReplyTo: MessageId,
    problem: z.object({ code: z.string().max(64), facts: z.record(z.string(), z.unknown()) }),
  }),
])
export type CallReply = z.infer<typeof CallReply>
/** NATS header of an answer that cannot be sealed: the request was not a genuine envelope, or the service speaks bytes. Holds a problem code. */
export const PROBLEM_HEADER = 'Lianpian-Problem'

/** Asks for one of our own messages, which the other end could not process, to be processed again. */
export const MessageRetry = z.object({ id: MessageId })

/** Services that answer core requests. The hub asks a node's `sync` to make it ask the hub's. */
export const services = {
  sync: 'sync',
  messageRetry: 'message.retry',
  transferOpen: 'transfer.open',
  transferPiece: 'transfer.piece',
  transferMetadata: 'transfer.metadata',
  /** Single instances by their UIDs, asked for by message: see transfer/documents.ts. */
  documentRetrieve: 'document.retrieve',
  examRead: 'exam.read',
  /** What the hub keeps of a node's audit checkpoints; asked by that node. */
  auditWitnesses: 'audit.witnesses',
  /** Between hospitals, each with the assertion of a person: see cross-hospital.ts. */
  examSearch: 'exam.search',
  grantAsk: 'grant.ask',
  /** Between hospitals, agent to agent. */
  grantWithdrawn: 'grant.withdrawn',
  /** An exam of the sender was destroyed: its copies are to leave. */
  studyErased: 'study.erased',
  grantStanding: 'grant.standing',
  consentWithdrawn: 'consent.withdrawn',
  /** Certificates over the line: the node's own, and those of its doctors. */
  certificateRenew: 'certificate.renew',
  consultOrder: 'consult.order',
  personCertify: 'certificate.person',
  personRevoke: 'certificate.person-revoke',
  timeStamp: 'time.stamp',
  /** What the platform says of uploads and storage; asked by the node that it is for. */
  parametersRead: 'parameters.read',
} as const
