import { z } from 'zod'
import { EpochMs, PartyId, Sm3Hex } from '../identifiers.ts'

/** What is signed: the chain of `party` held exactly `hash` at `seq`. A trail made anew has another `trailId`. */
export const AuditCheckpoint = z.object({
  v: z.literal(1),
  kind: z.literal('audit.checkpoint'),
  party: z.string(),
  trailId: z.string().max(64),
  seq: z.number().int().positive(),
  hash: Sm3Hex,
  at: EpochMs,
  /** PEM of the key under which the party signs what stands behind its newest checkpoint (AuditHead). */
  tailKey: z.string().max(400).optional(),
})
export type AuditCheckpoint = z.infer<typeof AuditCheckpoint>

/** SM2 over the canonical JSON. Before a region is joined there is no certificate: then `publicKey` (PEM) of the node stands alone. */
export const AuditSignature = z.object({
  signature: z.string(),
  certificateChain: z.array(z.string().max(4_000)).max(4),
  publicKey: z.string().max(400).optional(),
})
export type AuditSignature = z.infer<typeof AuditSignature>

export const SignedCheckpoint = z.object({ checkpoint: AuditCheckpoint, signed: AuditSignature })
export type SignedCheckpoint = z.infer<typeof SignedCheckpoint>

/** As the hub keeps and hands it on: its own signature covers checkpoint, the node's signature and the time of arrival. */
export const WitnessedCheckpoint = SignedCheckpoint.extend({ receivedAt: EpochMs, countersigned: AuditSignature })
export type WitnessedCheckpoint = z.infer<typeof WitnessedCheckpoint>

/** What the hub's signature is over. */
export const witnessStatement = ({ checkpoint, signed, receivedAt }: Omit<WitnessedCheckpoint, 'countersigned'>) => ({
  kind: 'audit.witness' as const,
  checkpoint,
  signature: signed.signature,
  receivedAt,
})

/**
 * Where a chain ends, signed anew with every batch that is added; the one before is not kept. `seq` 0 is a chain without records. The key is the trail's
 * own, vouched for by the next checkpoint.
 */
export const AuditHead = z.object({
  v: z.literal(1),
  kind: z.literal('audit.head'),
  party: z.string(),
  trailId: z.string().max(64),
  seq: z.number().int().nonnegative(),
  hash: Sm3Hex,
  at: EpochMs,
})
export type AuditHead = z.infer<typeof AuditHead>
export const SignedHead = z.object({ head: AuditHead, signature: z.base64().max(200) })
export type SignedHead = z.infer<typeof SignedHead>

/** Removed by retention: the chain goes on from `hash` at `seq`. Signed by the party, so that nobody else can shorten the chain. */
export const AuditStub = z.object({
  v: z.literal(1),
  kind: z.literal('audit.stub'),
  party: z.string(),
  trailId: z.string().max(64),
  seq: z.number().int().positive(),
  hash: Sm3Hex,
  /** Records at or after this time are all still there. */
  keptFrom: EpochMs,
  at: EpochMs,
})
export type AuditStub = z.infer<typeof AuditStub>
export const SignedStub = z.object({ stub: AuditStub, signed: AuditSignature })
export type SignedStub = z.infer<typeof SignedStub>

/**
 * 互阅审计 (FED-29, FED-37): somebody of `viewer` opened, or was refused, an exam of `owner`. Both sides tell the hub.
 * Studies and tasks are named; the patient is not.
 */
export const CrossViewing = z.object({
  eventId: z.string().max(64),
  at: EpochMs,
  /** Whose node saw it: the viewer's or the owner's. */
  side: z.enum(['viewer', 'owner']),
  viewer: PartyId,
  owner: PartyId,
  actorId: z.string().max(128),
  actorName: z.string().max(128),
  action: z.string().max(32),
  outcome: z.enum(['success', 'refused', 'failed']),
  studyInstanceUid: z.string().max(64).nullable(),
  taskId: z.string().max(64).nullable(),
  /** task, grant, consent, policy, break-glass; why not, when refused. */
  basis: z.string().max(64).nullable(),
  authorisationId: z.string().max(64).nullable(),
  code: z.string().max(64).nullable(),
})
export type CrossViewing = z.infer<typeof CrossViewing>

export const CrossViewingReport = z.object({ events: z.array(CrossViewing).min(1).max(200) })

/** A component of a node that stopped or came back (FED-28). */
export const HealthChange = z.object({
  at: EpochMs,
  component: z.string().max(64),
  operation: z.string().max(128),
  status: z.enum(['ok', 'degraded', 'failing']),
  cause: z.string().max(64),
})
export type HealthChange = z.infer<typeof HealthChange>

/** Message kinds of the trail. `witness`: hub → another node; `countersigned`: hub → the node itself. */
export const auditKinds = {
  checkpoint: 'audit.checkpoint',
  countersigned: 'audit.countersigned',
  witness: 'audit.witness',
  crossViewing: 'audit.cross-viewing',
  health: 'audit.health',
} as const

