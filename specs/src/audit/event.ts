import { z } from 'zod'
import { EpochMs, HospitalId, Sm3Hex } from '../identifiers.ts'
import type { ProblemCode } from '../problem.ts'
import { AuditAction } from './actions.ts'

export const AuditOutcome = z.enum(['success', 'refused', 'failed'])
export type AuditOutcome = z.infer<typeof AuditOutcome>

/** Who did it. `id` is an account, a hospital, an AE title, a service account or a part of the system. */
export const AuditActor = z.object({
  kind: z.enum(['user', 'hospital', 'dicom-node', 'service', 'system', 'stranger']),
  id: z.string().max(128),
  name: z.string().max(128).optional(),
  roles: z.array(z.string()).readonly().optional(),
  hospitalId: z.string().max(64).optional(),
  authMethod: z.string().max(64).optional(),
  sessionId: z.string().max(128).optional(),
  sourceIp: z.string().max(64).optional(),
  device: z.string().max(256).optional(),
})
export type AuditActor = z.infer<typeof AuditActor>

export const AuditObjectType = z.enum([
  'exam', 'study', 'patient', 'report', 'account', 'role', 'group', 'rule', 'grant', 'consent', 'certificate', 'key', 'task', 'transfer', 'config', 'organisation',
  'session', 'hospital', 'dicom-node', 'association', 'component', 'audit', 'backup', 'route',
]) // prettier-ignore
export type AuditObjectType = z.infer<typeof AuditObjectType>

export const AuditObject = z.object({
  type: AuditObjectType,
  id: z.string().max(256),
  /** Whose it is, where that may be another hospital. */
  owner: HospitalId.optional(),
  /** Keyed hash of the patient's number (AuditTrail.patientKey), never the number itself. */
  patientKey: z.string().max(64).optional(),
  /** Security label of patient or exam, for the review of VIP access. */
  label: z.string().max(32).optional(),
})
export type AuditObject = z.infer<typeof AuditObject>

/** What a part tells the trail. Old and new values are cleaned of numbers, telephones and secrets by field name before they are kept. */
export interface AuditEvent {
  readonly action: AuditAction
  readonly outcome: AuditOutcome
  /** Whoever the running request is from, unless told. */
  readonly actor?: AuditActor
  readonly object?: AuditObject
  readonly purpose?: string
  /** What the person gave as reason. */
  readonly reason?: string
  /** Why it was allowed: own-exam, task, grant, rule, consent, break-glass. */
  readonly basis?: string
  /** Why it was refused or failed. */
  readonly code?: ProblemCode
  readonly before?: unknown
  readonly after?: unknown
  readonly facts?: Readonly<Record<string, unknown>>
  readonly traceId?: string
  readonly at?: EpochMs
}

/**
 * A record of the chain (GB/T 22239 8.1.4.3 b). The hash is SM3 over the UTF-8 of the canonical JSON of everything but `hash`;
 * `prevHash` is inside, so that neither content nor order can change unseen.
 */
export const AuditRecord = z.object({
  v: z.literal(1),
  seq: z.number().int().positive(),
  eventId: z.string(),
  at: EpochMs,
  /** When it entered the chain. */
  recordedAt: EpochMs,
  node: z.string(),
  hospital: z.string(),
  action: AuditAction,
  outcome: AuditOutcome,
  actor: AuditActor,
  object: AuditObject.optional(),
  purpose: z.string().optional(),
  reason: z.string().optional(),
  basis: z.string().optional(),
  code: z.string().optional(),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
  beforeDigest: z.string().optional(),
  afterDigest: z.string().optional(),
  facts: z.record(z.string(), z.unknown()).optional(),
  traceId: z.string().optional(),
  /** Repetitions folded into this record: the same actor, action and object within a minute. */
  count: z.number().int().positive().optional(),
  prevHash: Sm3Hex,
})
export type AuditRecord = z.infer<typeof AuditRecord>
