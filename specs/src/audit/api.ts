import { z } from 'zod'
import { EpochMs, HospitalId } from '../identifiers.ts'
import { AuditAction } from './actions.ts'
import { AuditOutcome, AuditRecord } from './event.ts'
import { CrossViewing, SignedCheckpoint } from './checkpoint.ts'

const absent = <S extends z.ZodType>(schema: S) => z.preprocess((value) => (value === '' ? undefined : value), schema.optional())
const time = absent(z.coerce.number().int().nonnegative())
const PAGE_KEY = /^\d{1,16}\.\d{1,16}$/

/** GET /api/audit/records: all conditions together, newest first; `after` is `next` of the page before. */
export const AuditQuery = z.object({
  from: time,
  until: time,
  actorId: absent(z.string().max(128)),
  /** One action, or several separated by commas. */
  action: absent(z.string().max(1_000).transform((text) => text.split(',')).pipe(z.array(AuditAction).min(1).max(40))),
  outcome: absent(z.string().max(40).transform((text) => text.split(',')).pipe(z.array(AuditOutcome).min(1))),
  objectType: absent(z.string().max(32)),
  objectId: absent(z.string().max(256)),
  /** The number itself; the server asks by its keyed hash. */
  patientId: absent(z.string().max(64)),
  sourceIp: absent(z.string().max(64)),
  owner: absent(HospitalId),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  after: absent(z.string().regex(PAGE_KEY)),
}) // prettier-ignore
export type AuditQuery = z.output<typeof AuditQuery>

export const AuditRow = AuditRecord.omit({ v: true, prevHash: true }).extend({ title: z.string(), titleEn: z.string(), hash: z.string() })
export type AuditRow = z.infer<typeof AuditRow>
export const AuditPage = z.object({ rows: z.array(AuditRow), next: z.string().nullable() })
export type AuditPage = z.infer<typeof AuditPage>

/** GET /api/audit/records/:eventId: with what proves it. */
export const AuditProof = z.object({ record: AuditRow, body: z.string(), hash: z.string(), checkpoint: SignedCheckpoint.nullable() })
export type AuditProof = z.infer<typeof AuditProof>

/** POST /api/audit/exports: the filter of a search and why. Answers the file. */
export const AuditExport = AuditQuery.omit({ limit: true, after: true }).extend({ format: z.enum(['csv', 'jsonl']), reason: z.string().trim().min(2).max(500) })

/** 夜间访问, 重点人群访问, 批量调阅, 反复被拒, 院外访问. */
export const AuditReview = z.enum(['night', 'vip', 'mass-view', 'repeated-denial', 'off-campus'])
export type AuditReview = z.infer<typeof AuditReview>
export const ReviewQuery = z.object({ from: z.coerce.number().int().nonnegative(), until: z.coerce.number().int().nonnegative() })
export const ReviewFinding = z.object({
  actorId: z.string(),
  actorName: z.string().nullable(),
  /** Local date, YYYY-MM-DD, where the review counts by day. */
  day: z.string().nullable(),
  sourceIp: z.string().nullable(),
  /** Accesses, and distinct patients among them. */
  count: z.number().int(),
  patients: z.number().int(),
  firstAt: EpochMs,
  lastAt: EpochMs,
})
export type ReviewFinding = z.infer<typeof ReviewFinding>

export const AuditStatus = z.object({
  available: z.boolean(),
  records: z.number().int(),
  firstAt: EpochMs.nullable(),
  lastAt: EpochMs.nullable(),
  retentionDays: z.number().int(),
  lastCheckpoint: z.object({ seq: z.number().int(), at: EpochMs, witnessed: z.boolean() }).nullable(),
  unwitnessed: z.number().int(),
  syslog: z.object({ waiting: z.number().int(), since: EpochMs.nullable() }).nullable(),
})
export type AuditStatus = z.infer<typeof AuditStatus>

export const VerificationRow = z.object({
  id: z.string(),
  startedAt: EpochMs,
  endedAt: EpochMs.nullable(),
  startedBy: z.string(),
  state: z.enum(['running', 'whole', 'findings', 'failed']),
  records: z.number().int(),
  total: z.number().int(),
  findings: z.array(z.object({ kind: z.string(), seq: z.number().int(), toSeq: z.number().int().optional(), eventId: z.string().optional(), action: z.string().optional(), at: z.number().optional(), detail: z.string() })),
})
export type VerificationRow = z.infer<typeof VerificationRow>

export const CrossViewingQuery = z.object({
  from: time,
  until: time,
  viewer: absent(z.string().max(64)),
  owner: absent(z.string().max(64)),
  actorId: absent(z.string().max(128)),
  studyInstanceUid: absent(z.string().max(64)),
  outcome: absent(AuditOutcome),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  after: absent(z.string().regex(/^\d{1,16}\..{1,64}$/)),
})
export const CrossViewingRow = CrossViewing.extend({
  reportedBy: z.string(),
  receivedAt: EpochMs,
  viewerName: z.string(),
  ownerName: z.string(),
})
export type CrossViewingRow = z.infer<typeof CrossViewingRow>
export const CrossViewingPage = z.object({ rows: z.array(CrossViewingRow), next: z.string().nullable() })

/** GET /api/studies/:studyUid/log (FED-34): archive, view and transfer, oldest first. */
export const StudyLogRow = z.object({
  at: EpochMs,
  kind: z.enum(['archive', 'view', 'transfer']),
  action: z.string(),
  title: z.string(),
  actor: z.string(),
  source: z.string().nullable(),
  destination: z.string().nullable(),
  result: z.string(),
  code: z.string().nullable(),
  count: z.number().int(),
  facts: z.record(z.string(), z.unknown()),
})
export type StudyLogRow = z.infer<typeof StudyLogRow>

/** GET /api/faults (FED-28): stopped components and failed operations, newest first. */
export const FaultRow = z.object({
  id: z.string(),
  at: EpochMs,
  node: z.string(),
  component: z.string(),
  operation: z.string(),
  code: z.string(),
  title: z.string(),
  recovered: z.boolean(),
})
export type FaultRow = z.infer<typeof FaultRow>
export const FaultQuery = z.object({ from: time, until: time, component: absent(z.string().max(64)), limit: z.coerce.number().int().min(1).max(500).default(50), after: absent(z.string().max(120)) })
