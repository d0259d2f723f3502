import { z } from 'zod'
import { EpochMs, HospitalId, SopInstanceUid, StudyInstanceUid } from '../identifiers.ts'

/** Names a store in rules, rows and addresses of the API. `local` is the archive's own root, which always is there. */
export const StoreId = z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, '小写字母开头，仅含小写字母、数字和连字符').refine((id) => id !== 'local', 'local 为本机存储保留')
export const ArchiveNameText = z.enum(['in-hospital', 'regional'])

const modality = z.string().regex(/^[A-Z0-9_]{1,16}$/)
const days = z.number().int().min(0).max(36_500)
const ruleName = z.string().trim().min(1).max(60)
const ruleId = z.string().regex(/^[\w-]{1,40}$/)

/** Moves studies to a store when they are old enough (ARC-20); with 0 days at once, which makes a bucket the archive's storage (ARC-08). */
export const TierRule = z.object({
  ruleId,
  name: ruleName,
  to: StoreId,
  after: z.enum(['study-date', 'received', 'opened']),
  days,
  /** Empty lists mean every one. */
  modalities: z.array(modality).max(50).default([]),
  owners: z.array(HospitalId).max(200).default([]),
  campuses: z.array(z.string().max(64)).max(100).default([]),
})
export type TierRule = z.infer<typeof TierRule>

/** Keeps a second copy of a hospital's studies in a store (ARC-24). */
export const ReplicaRule = z.object({ ruleId, name: ruleName, to: StoreId, owners: z.array(HospitalId).max(200).default([]) })
export type ReplicaRule = z.infer<typeof ReplicaRule>

/** Reads every file again and compares its digest (ARC-22). */
export const IntegritySettings = z.object({
  /** A new pass begins so many days after the last one began; 0: only when somebody asks. */
  everyDays: z.number().int().min(0).max(365),
  bytesPerSecond: z.number().int().min(100_000).max(10_000_000_000),
  /** Hours of the day, Beijing time, in which it works; the same hour twice: always. */
  fromHour: z.number().int().min(0).max(23),
  toHour: z.number().int().min(0).max(23),
  /** Of the copies in other stores, so many per cent are read whole; of the others only presence and size are asked. */
  copiesReadPercent: z.number().int().min(0).max(100),
  /** Restores what is missing or damaged from a sound copy by itself. */
  repair: z.boolean(),
})
export type IntegritySettings = z.infer<typeof IntegritySettings>

/** How one archive stores; changed at run time (AGT-14), each change a line of the audit trail. */
export const StoragePolicy = z.object({
  /** Where new files lie below the root (ARC-07). */
  pathTemplate: z.string().trim().min(1).max(200),
  /** Of single hospitals, by their identifier. */
  ownerTemplates: z.record(HospitalId, z.string().trim().min(1).max(200)),
  tierRules: z.array(TierRule).max(50),
  /** Copies of moved studies stay on the local disk for so long after the last opening. */
  keepLocalDays: days,
  replicaRules: z.array(ReplicaRule).max(50),
  integrity: IntegritySettings,
  /** Of the whole archive, and of single hospitals in it; null: as much as there is room for. */
  quotaBytes: z.number().int().min(1).nullable(),
  ownerQuotas: z.record(HospitalId, z.number().int().min(1)),
  warnPercent: z.number().int().min(1).max(100),
  /** Deleted studies can be restored for so long; 0: destroyed at once. */
  recycleDays: z.number().int().min(0).max(3_660),
  /** Of the regional archive only: other hospitals' studies leave when they need more than this (AGT-12). */
  cacheBytes: z.number().int().min(0).nullable(),
  cacheLeaves: z.enum(['least-recently-opened', 'oldest-received']),
})
export type StoragePolicy = z.infer<typeof StoragePolicy>

export const StoragePolicyChange = z.object({ policy: StoragePolicy, reason: z.string().trim().min(2, '请填写理由').max(500) })

/** POST /api/storage/stores: a bucket. Folders are set up in the configuration file, by whoever may mount disks. */
export const S3StoreDraft = z.object({
  storeId: StoreId,
  name: z.string().trim().min(1).max(60),
  endpoint: z.url({ protocol: /^https?$/ }).max(300),
  region: z.string().trim().min(1).max(60).default('us-east-1'),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, '桶名不合法'),
  prefix: z.string().regex(/^[\w./-]{0,200}$/).default(''),
  pathStyle: z.boolean().default(true),
  accessKeyId: z.string().trim().min(1).max(200),
  /** Left empty when an existing store is changed: the secret stays. */
  secretAccessKey: z.string().max(200),
  caPem: z.string().max(20_000).default(''),
  serverSideEncryption: z.enum(['', 'AES256', 'aws:kms']).default(''),
  reason: z.string().trim().min(2, '请填写理由').max(500),
})
export type S3StoreDraft = z.infer<typeof S3StoreDraft>

export const StoreHealth = z.object({ state: z.enum(['ok', 'failing', 'unknown']), since: EpochMs, code: z.string(), reason: z.string() })
export type StoreHealth = z.infer<typeof StoreHealth>

/** What one archive keeps in one store. */
export const StoreUse = z.object({
  archive: ArchiveNameText,
  /** Copies that are the lasting ones, and second copies. */
  tierBytes: z.number(),
  replicaBytes: z.number(),
  files: z.number().int(),
  /** Studies that wait to be copied there, and since when the oldest does. */
  waiting: z.number().int(),
  waitingSince: EpochMs.nullable(),
  /** Why the last attempt failed; '' when it did not. */
  fault: z.string(),
})
export type StoreUse = z.infer<typeof StoreUse>

/** GET /api/storage/stores */
export const StoreRow = z.object({
  storeId: z.string(),
  name: z.string(),
  kind: z.enum(['local', 'folder', 's3']),
  /** Folder, or endpoint and bucket; never a secret. */
  place: z.string(),
  /** Set up in the configuration file, so not changed here. */
  fixed: z.boolean(),
  freeBytes: z.number().nullable(),
  totalBytes: z.number().nullable(),
  health: StoreHealth,
  use: z.array(StoreUse),
  /** What can be entered again when it is changed; null for folders. */
  bucket: S3StoreDraft.pick({ endpoint: true, region: true, bucket: true, prefix: true, pathStyle: true, accessKeyId: true, caPem: true, serverSideEncryption: true }).nullable(),
})
export type StoreRow = z.infer<typeof StoreRow>

export const OwnerUse = z.object({ hospitalId: z.string(), studies: z.number().int(), sizeBytes: z.number(), replicaBytes: z.number(), quotaBytes: z.number().nullable() })
export type OwnerUse = z.infer<typeof OwnerUse>

export const IntegrityPass = z.object({
  passId: z.string(),
  state: z.enum(['running', 'waiting', 'done', 'stopped']),
  startedAt: EpochMs,
  endedAt: EpochMs.nullable(),
  checked: z.number().int(),
  total: z.number().int(),
  checkedBytes: z.number(),
  missing: z.number().int(),
  corrupt: z.number().int(),
  repaired: z.number().int(),
  /** Copies that could not be looked at, because their store was out of reach. */
  unreachable: z.number().int(),
})
export type IntegrityPass = z.infer<typeof IntegrityPass>

export const IntegrityFinding = z.object({
  findingId: z.string(),
  studyInstanceUid: StudyInstanceUid,
  sopInstanceUid: SopInstanceUid,
  /** `local`, or the store whose copy it is. */
  storeId: z.string(),
  kind: z.enum(['missing', 'wrong-size', 'wrong-digest']),
  foundAt: EpochMs,
  /** Sound copies elsewhere, from which it can be restored. */
  copiesAt: z.array(z.string()),
})
export type IntegrityFinding = z.infer<typeof IntegrityFinding>

/** GET /api/storage/:archive */
export const StorageState = z.object({
  archive: ArchiveNameText,
  hospitalId: z.string(),
  root: z.string(),
  available: z.boolean(),
  policy: StoragePolicy,
  policyChangedAt: EpochMs.nullable(),
  policyChangedBy: z.string(),
  /** What the default rule and those of single hospitals make of one example study. */
  examplePath: z.string(),
  totals: z.object({ studies: z.number().int(), instances: z.number().int(), sizeBytes: z.number() }),
  freeBytes: z.number(),
  minFreeBytes: z.number(),
  /** `warning` from the warning level on, `full` when nothing more is taken. */
  quota: z.enum(['ok', 'warning', 'full']),
  owners: z.array(OwnerUse),
  /** Studies by where their lasting copy is; `local` first. */
  tiers: z.array(z.object({ storeId: z.string(), studies: z.number().int(), sizeBytes: z.number() })),
  recycled: z.number().int(),
  pass: IntegrityPass.nullable(),
  findings: z.number().int(),
  unreadable: z.number().int(),
})
export type StorageState = z.infer<typeof StorageState>

/** GET /api/storage/:archive/moves: what waits to be copied, moved or called back. */
export const StorageMove = z.object({
  studyInstanceUid: StudyInstanceUid,
  storeId: z.string(),
  kind: z.enum(['tier', 'replica', 'leave', 'recall', 'home']),
  askedAt: EpochMs,
  askedBy: z.string(),
  attempts: z.number().int(),
  notBefore: EpochMs,
  fault: z.string(),
})
export type StorageMove = z.infer<typeof StorageMove>

/** POST /api/storage/:archive/moves: `move` to a store now, `recall` to the local disk for as long as it is used, `home` for good. */
export const StorageMoveOrder = z
  .object({ studyInstanceUid: StudyInstanceUid, order: z.enum(['move', 'recall', 'home']), to: StoreId.optional() })
  .refine(({ order, to }) => (order === 'move') === (to !== undefined), { path: ['to'], message: '移动时须指定存储' })

/** GET /api/storage/:archive/recycled: deleted studies that can still be restored; names are masked. */
export const RecycledStudy = z.object({
  studyInstanceUid: StudyInstanceUid,
  patientName: z.string(),
  modalities: z.string(),
  studyDate: z.string(),
  accessionNumber: z.string(),
  instanceCount: z.number().int(),
  sizeBytes: z.number(),
  deletedAt: EpochMs,
  deletedBy: z.string(),
  reason: z.string(),
  destroyAfter: EpochMs,
})
export type RecycledStudy = z.infer<typeof RecycledStudy>

/** POST /api/storage/:archive/studies/:study/restore: from a replica or another copy. */
export const StudyRestored = z.object({ checked: z.number().int(), restored: z.number().int(), failed: z.array(SopInstanceUid) })
export type StudyRestored = z.infer<typeof StudyRestored>
