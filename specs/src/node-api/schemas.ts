import { z } from 'zod'
import { AeTitle, EpochMs, HospitalId, RegionId, StudyInstanceUid, TaskId, TransferSyntaxUid } from '../identifiers.ts'
import { DicomCharset } from './dicom-settings.ts'
import { ConsultFacts, ConsultRequest, ConsultState, ConsultTarget, ExamSnapshot, Holder, ImagesTo, KeyImage, Opinion } from '../consult/messages.ts'
import { FlowMode, HospitalConfig, TaskType } from '../federation/messages.ts'
import { Right, Scope } from '../access/rights.ts'
import { RefusalRow, TimelineEvent } from '../hub-api/schemas.ts'
import { ExamLabel, ExamPlacement, PlacementChange } from './exam-placement.ts'
import { ContactChange, PatientContact } from './patient.ts'

export const NodeUser = z.object({ id: z.string(), username: z.string(), name: z.string(), title: z.string(), roles: z.array(z.string()), rights: z.array(Right) })
export type NodeUser = z.infer<typeof NodeUser>
export const NodeSession = z.object({ token: z.string(), user: NodeUser, hospital: z.object({ id: HospitalId, name: z.string() }) })
export type NodeSession = z.infer<typeof NodeSession>

/** GET /api/exams: the hospital's own exams, newest first. */
export const ExamRow = z.object({
  examId: z.string(),
  regionId: RegionId,
  hospitalId: HospitalId,
  accessionNumber: z.string(),
  patientId: z.string(),
  patientName: z.string(),
  patientSex: z.string(),
  /** Masked: the year alone; the age stands beside it. */
  patientBirthDate: z.string(),
  patientAge: z.string(),
  ...PatientContact.pick({ idCard: true, phone: true }).shape,
  /** Whether names and numbers are masked; false only in the answer to an unmasking (SEC-06). */
  masked: z.boolean(),
  modality: z.string(),
  bodyPart: z.string(),
  description: z.string(),
  studyDate: z.string(),
  studyTime: z.string(),
  studyInstanceUid: StudyInstanceUid.nullable(),
  seriesCount: z.number().int(),
  instanceCount: z.number().int(),
  sizeBytes: z.number().int(),
  receivedAt: EpochMs,
  ...ExamPlacement.shape,
  /** Newest consultation of this exam, if any. */
  consult: z.object({ taskId: TaskId, state: z.string() }).nullable(),
})
export type ExamRow = z.infer<typeof ExamRow>
export const ExamDetail = ExamRow.extend({ address: z.string(), clinicalHistory: z.string(), reportFindings: z.string(), reportImpression: z.string(), updatedAt: EpochMs })
export type ExamDetail = z.infer<typeof ExamDetail>
/** PATCH /api/exams/:examId */
export const ExamChange = z.object({ clinicalHistory: z.string().max(20_000).optional(), reportFindings: z.string().max(50_000).optional(), reportImpression: z.string().max(20_000).optional(), bodyPart: z.string().max(64).optional(), ...PlacementChange.shape, ...ContactChange.shape })
export type ExamChange = z.infer<typeof ExamChange>

/** POST /api/consults */
export const ConsultApplication = z.object({
  /** Made by the page, so that a repeated press makes one consultation. */
  taskId: TaskId,
  examId: z.string().min(1),
  mode: FlowMode,
  target: ConsultTarget,
  imagesTo: ImagesTo,
  urgency: z.enum(['routine', 'urgent']),
  question: z.string().trim().min(1, '请填写会诊问题').max(5_000),
})
export type ConsultApplication = z.infer<typeof ConsultApplication>

/** `queued` and `refused` exist only at the node that sent the command: before the hub's answer, or after its refusal. */
export const LocalConsultState = z.union([ConsultState, z.enum(['queued', 'refused'])])
export type LocalConsultState = z.infer<typeof LocalConsultState>

export const ConsultRow = z.object({
  taskId: TaskId,
  regionId: RegionId,
  /** submitter: our request; processor: offered to or held by us; data-centre: images pass through us. */
  side: z.enum(['submitter', 'processor', 'data-centre']),
  submitter: HospitalId,
  submitterName: z.string(),
  state: LocalConsultState,
  revision: z.number().int(),
  holder: Holder.nullable(),
  facts: ConsultFacts.omit({ grant: true }),
  /** Full name where the request could be opened, otherwise the masked label. */
  patientName: z.string(),
  question: z.string(),
  examId: z.string().nullable(),
  appliedAt: EpochMs,
  updatedAt: EpochMs,
  /** Images at this node: done of total instances. */
  images: z.object({ held: z.number().int(), total: z.number().int(), state: z.enum(['none', 'waiting', 'running', 'complete', 'failed']) }),
  /** A command of this node still waiting for the hub's answer. */
  pending: z.string().nullable(),
  /** Last refusal of a command of this node. */
  problem: z.object({ code: z.string(), title: z.string(), facts: z.record(z.string(), z.unknown()) }).nullable(),
})
export type ConsultRow = z.infer<typeof ConsultRow>

/** `applied` is the submitter's own step before the hub (申请); the others are the hub's events. */
export const ConsultDetail = ConsultRow.extend({
  request: ConsultRequest.nullable(),
  opinion: Opinion.omit({ keyObject: true }).nullable(),
  opinionValid: z.boolean().nullable(),
  /** Whose certificate the opinion was signed with, as it says itself; whether to believe it says `opinionValid`. */
  opinionCertificate: z.object({ subject: z.string(), serial: z.string(), notBefore: EpochMs, notAfter: EpochMs, fingerprintSm3: z.string() }).nullable(),
  /** By the doctor's own key, or by the hospital's alone. */
  opinionSignedBy: z.enum(['person', 'hospital']).nullable().optional(),
  /** When the region's time stamp authority saw the signature; null while it has none. */
  opinionStampedAt: EpochMs.nullable().optional(),
  keyImageSeriesInstanceUid: z.string().nullable(),
  events: z.array(TimelineEvent),
  hospitalNames: z.record(z.string(), z.string()),
})
export type ConsultDetail = z.infer<typeof ConsultDetail>

export const OpinionDraft = z.object({ findings: z.string().max(50_000), opinion: z.string().max(20_000), advice: z.string().max(10_000), keyImages: z.array(KeyImage).max(100) })
export type OpinionDraft = z.infer<typeof OpinionDraft>
/** GET/PUT /api/consults/:taskId/draft — kept on the server, so that a phone or another desk goes on with it. */
export const SavedDraft = OpinionDraft.extend({ savedAt: EpochMs.nullable(), revision: z.number().int() })
export type SavedDraft = z.infer<typeof SavedDraft>

export const LiveExam = z.object({ exam: ExamSnapshot, source: z.enum(['live', 'copy']), at: EpochMs })
export type LiveExam = z.infer<typeof LiveExam>

/** POST /api/consults/:taskId/unmask: in full, with the exam as its hospital keeps it now; null when it cannot be reached. */
export const UnmaskedConsult = ConsultDetail.extend({ exam: LiveExam.nullable() })
export type UnmaskedConsult = z.infer<typeof UnmaskedConsult>

/** `worklist`: is told which patients to expect, and tells what was done (MPPS). */
export const DicomPermission = z.enum(['store', 'query', 'retrieve', 'worklist'])
export type DicomPermission = z.infer<typeof DicomPermission>
export const DicomNode = z.object({
  id: z.string().optional(),
  aeTitle: AeTitle,
  host: z.string().trim().regex(/^(?=.{1,255}$)[\w.:\-[\]]+$/, '应为主机名或地址 / a host name or an address'),
  port: z.number().int().min(1).max(65535),
  description: z.string().max(100).default(''),
  /** May send to and query us. */
  allowed: z.boolean().default(true),
  /** Studies that arrive by push are sent on to it (FED-15). */
  forwardPushed: z.boolean().default(false),
  /** Images from this AE carry this region; null: the region that is active when they arrive (FED-20). */
  regionId: RegionId.nullable().default(null),
  /** What it may do when it is allowed: send to us, ask for lists, fetch images. */
  permissions: z.array(DicomPermission).default(['store', 'query', 'retrieve']),
  /** Which exams it is told of; an empty object: all of the hospital. */
  scope: Scope.default({}),
  /** Security labels beyond `ordinary` of exams that it is told of. */
  labels: z.array(ExamLabel).default([]),
  /** Where it stands: exams that nobody registered before their images came from it belong there. */
  place: z.object({ campus: z.string().max(32), department: z.string().max(32), area: z.string().max(32) }).default({ campus: '', department: '', area: '' }),
  /** Associations that it may have at the same time; null: as many as there are. */
  maxAssociations: z.number().int().min(1).max(1_000).nullable().default(null),
  /** Transfer syntaxes chosen first among those it proposes for an image; without any, its own order counts. */
  preferredSyntaxes: z.array(TransferSyntaxUid).max(20).default([]),
  /** Character set of what it is answered; null: as everybody. */
  charset: DicomCharset.nullable().default(null),
  /** Its worklist holds only what is scheduled for its AE title, or for no device in particular. */
  ownWorklist: z.boolean().default(false),
  /** We call it by DICOM over TLS, with what lies in `keys/dicom-nodes/<AE title>` or `keys/dicom-nodes/default` (docs/adr/0020). */
  secure: z.boolean().default(false),
})
export type DicomNode = z.infer<typeof DicomNode>
export const EchoResult = z.object({ ok: z.boolean(), milliseconds: z.number(), code: z.string().optional(), title: z.string().optional() })
export type EchoResult = z.infer<typeof EchoResult>

/** GET /api/dicom-forwards: studies on their way to DICOM nodes, by a rule (ARC-17) or because they arrived by push (FED-15). */
export const ForwardRow = z.object({
  id: z.string(),
  /** Null for whoever may not have the study on a list. */
  studyInstanceUid: z.string().nullable(),
  nodeId: z.string(),
  aeTitle: z.string(),
  /** The rule that asked for it; null: it arrived by push, or the rule is gone. */
  ruleName: z.string().nullable(),
  priority: z.number().int(),
  /** `retrying` tries again by itself; `failed` waits for a person. */
  state: z.enum(['waiting', 'running', 'retrying', 'done', 'failed', 'cancelled']),
  instancesDone: z.number().int(),
  instancesTotal: z.number().int(),
  attempts: z.number().int(),
  nextAttemptAt: EpochMs.nullable(),
  createdAt: EpochMs,
  updatedAt: EpochMs,
  problem: z.object({ code: z.string(), title: z.string(), facts: z.record(z.string(), z.unknown()) }).nullable(),
})
export type ForwardRow = z.infer<typeof ForwardRow>

export const LinkStatus = z.object({
  state: z.enum(['not-joined', 'connecting', 'connected', 'disconnected', 'refused']),
  regionId: RegionId.nullable(),
  regionName: z.string().nullable(),
  hubUrl: z.string().nullable(),
  natsUrl: z.string().nullable(),
  since: EpochMs.nullable(),
  lastSyncAt: EpochMs.nullable(),
  pendingMessages: z.number().int(),
  refusedMessages: z.number().int(),
  problem: z.object({ code: z.string(), title: z.string() }).nullable(),
  /** Attempts in vain since the platform answered last, and the latest attempt. */
  failures: z.number().int(),
  lastTriedAt: EpochMs.nullable(),
  hospital: HospitalConfig.nullable(),
  certificateExpires: EpochMs.nullable(),
})
export type LinkStatus = z.infer<typeof LinkStatus>

/** GET /api/regions: every region this hospital has joined, in the order of joining; it is connected to the active one (FED-20). */
export const JoinedRegion = z.object({ regionId: RegionId, regionName: z.string(), hubUrl: z.string(), isActive: z.boolean() })
export type JoinedRegion = z.infer<typeof JoinedRegion>

export const TransferRow = z.object({
  transferId: z.string(),
  /** null for administrators who may not have the study on a list: they see that something moves, not whose images it is. */
  studyInstanceUid: z.string().nullable(),
  owner: HospitalId,
  direction: z.enum(['in', 'out']),
  purpose: z.enum(['push', 'pull', 'prefetch']),
  state: z.enum(['waiting', 'running', 'complete', 'failed', 'cancelled']),
  instancesDone: z.number().int(),
  instancesTotal: z.number().int(),
  bytesDone: z.number().int(),
  bytesTotal: z.number().int(),
  startedAt: EpochMs,
  updatedAt: EpochMs,
  problem: z.object({ code: z.string(), title: z.string() }).nullable(),
})
export type TransferRow = z.infer<typeof TransferRow>

export const MessageRow = z.object({ id: z.string(), direction: z.enum(['out', 'in']), seq: z.number().int().nullable(), kind: z.string(), state: z.string(), at: EpochMs, attempts: z.number().int(), lastTriedAt: EpochMs.nullable(), problem: z.object({ code: z.string(), title: z.string() }).nullable() })
export type MessageRow = z.infer<typeof MessageRow>

/** GET /api/messages/waiting: what this hospital has said to the platform and has no answer to, oldest first (AGT-07). */
export const WaitingRow = z.object({
  /** The message; a command whose message is no longer kept has none. */
  messageId: z.string().nullable(),
  kind: z.string(),
  /** The command inside, if it is one; without its task for administrators who may not have it on a list. */
  command: z.object({ commandId: z.string(), taskId: z.string().nullable(), type: z.string() }).nullable(),
  /** Who waits: the person who pressed; null for what the node does by itself. */
  by: z.string().nullable(),
  since: EpochMs,
  /** pending: here only. published: with the message server. delivered: taken, not answered. failed-there: answered with an error. */
  state: z.enum(['pending', 'published', 'delivered', 'failed-there', 'lost']),
  attempts: z.number().int(),
  lastTriedAt: EpochMs.nullable(),
  problem: z.object({ code: z.string(), title: z.string() }).nullable(),
})
export type WaitingRow = z.infer<typeof WaitingRow>

/** Where something was refused: messages of the region, the DICOM port, STOW-RS, an attempt to join a platform. */
export const RefusalService = z.enum(['link', 'dimse', 'stow', 'join'])
export type RefusalService = z.infer<typeof RefusalService>
/** GET /api/refusals of a node. The same refusal again and again is one row: `at` is the last time, `count` how often. */
export const NodeRefusalRow = RefusalRow.extend({
  service: RefusalService,
  /** What the other side calls itself (AE title, user, hospital); '' if it did not say. */
  peer: z.string(),
  /** Network address; for messages of the region their subject. */
  address: z.string(),
  count: z.number().int(),
  firstAt: EpochMs,
})
export type NodeRefusalRow = z.infer<typeof NodeRefusalRow>

/** Image services that an administrator can switch off one by one (FED-28). */
export const ImageService = z.enum(['wado-uri', 'wado-rs', 'qido-rs', 'stow-rs'])
export type ImageService = z.infer<typeof ImageService>
/** GET /api/services. Whoever never was switched off has neither time nor name. */
export const ImageServiceRow = z.object({ service: ImageService, enabled: z.boolean(), changedAt: EpochMs.nullable(), changedBy: z.string().nullable(), reason: z.string() })
export type ImageServiceRow = z.infer<typeof ImageServiceRow>
/** PUT /api/services/:service */
export const ImageServiceChange = z.object({ enabled: z.boolean(), reason: z.string().trim().min(2, '请填写理由').max(200) })
export type ImageServiceChange = z.infer<typeof ImageServiceChange>

/** Server-sent events of GET /api/events. Pages reload what they show; the event only says what changed. */
export const LiveEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('consult'), taskId: z.string(), state: z.string(), revision: z.number(), problem: z.string().optional() }),
  z.object({ type: z.literal('exam'), examId: z.string() }),
  z.object({ type: z.literal('transfer'), studyInstanceUid: z.string(), instancesDone: z.number(), instancesTotal: z.number(), state: z.string() }),
  z.object({ type: z.literal('link'), state: z.string() }),
  z.object({ type: z.literal('refusal'), code: z.string() }),
  z.object({ type: z.literal('audit'), state: z.enum(['ok', 'failing']) }),
  z.object({ type: z.literal('forward'), studyInstanceUid: z.string(), nodeId: z.string(), state: z.string(), instancesDone: z.number(), instancesTotal: z.number() }),
  /** A grant of another hospital: `withdrawn` ends what is on the screen. */
  z.object({ type: z.literal('grant'), grantId: z.string(), studyInstanceUids: z.array(z.string()), state: z.enum(['held', 'withdrawn', 'given', 'confirmed']) }),
  z.object({ type: z.literal('cross-search'), searchId: z.string() }),
  z.object({ type: z.literal('hospital'), hospitalId: z.string() }),
  /** An emergency access was opened, ended or reviewed: for whoever reviews. */
  z.object({ type: z.literal('break-glass'), breakGlassId: z.string(), state: z.enum(['open', 'ended', 'reviewed']) }),
  z.object({ type: z.literal('rule'), ruleId: z.string() }),
  /** A run of active acquisition, an import or routing went on: read the list again. */
  z.object({ type: z.literal('acquisition'), runId: z.string() }),
  z.object({ type: z.literal('import'), importId: z.string() }),
  z.object({ type: z.literal('routing'), ruleId: z.string() }),
])
export type LiveEvent = z.infer<typeof LiveEvent>

export const ProcessorChoice = z.object({ id: HospitalId, name: z.string(), kinds: z.array(z.string()), taskTypes: z.array(TaskType), flowModes: z.array(FlowMode) })
export type ProcessorChoice = z.infer<typeof ProcessorChoice>
