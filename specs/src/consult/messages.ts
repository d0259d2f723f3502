import { z } from 'zod'
import { EpochMs, HospitalId, MessageId, Sm3Hex, SopClassUid, SopInstanceUid, SeriesInstanceUid, StudyInstanceUid, TaskId, UserId } from '../identifiers.ts'
import { DetachedSignature } from '../federation/certificates.ts'
import { FlowMode, TaskType } from '../federation/messages.ts'
import { SignedGrant } from '../access/grant.ts'
import { SignedAssertion } from '../federation/assertion.ts'

/** Who did something: a person at a hospital, or the hospital's agent itself (`agent: true`). */
export const Actor = z.object({
  hospitalId: HospitalId,
  userId: UserId,
  name: z.string().min(1).max(60),
  title: z.string().max(40).optional(),
  agent: z.boolean().optional(),
})
export type Actor = z.infer<typeof Actor>

/** The person or agent of the hub (an administrator, a deadline) has no hospital. */
export const ConsultState = z.enum(['submitted', 'accepted', 'started', 'signed', 'returned', 'read', 'cancelled', 'declined'])
export type ConsultState = z.infer<typeof ConsultState>

/** A named hospital, or every processor of the region (专家池). */
export const ConsultTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('hospital'), hospitalId: HospitalId }),
  z.object({ kind: z.literal('pool') }),
])
export type ConsultTarget = z.infer<typeof ConsultTarget>

/** Where images go ahead in push mode (CON-10): into the consulting hospital or to the region's data centre. */
export const ImagesTo = z.enum(['processor', 'data-centre', 'none'])
export type ImagesTo = z.infer<typeof ImagesTo>

/**
 * What hub and lists may know of a consultation without opening the sealed request. The patient appears only as a
 * masked label (张*); the full request is sealed by the submitter for the processors alone.
 */
export const ConsultFacts = z.object({
  taskType: TaskType,
  mode: FlowMode,
  target: ConsultTarget,
  imagesTo: ImagesTo,
  modality: z.string().max(16),
  bodyPart: z.string().max(64),
  urgency: z.enum(['routine', 'urgent']),
  patientLabel: z.string().max(60),
  studyInstanceUids: z.array(StudyInstanceUid).min(1).max(32),
  instanceCount: z.number().int().nonnegative(),
  sizeBytes: z.number().int().nonnegative(),
  grant: SignedGrant,
})
export type ConsultFacts = z.infer<typeof ConsultFacts>

/** An envelope (envelope/v1 JSON text) that travels inside a message and is opened only by its own recipients. */
export const SealedContent = z.string().min(1).max(1_400_000)

const commandBase = { commandId: MessageId, taskId: TaskId, by: Actor, at: EpochMs }

/** Signed command of a node; the hub checks it, gives it the task's next revision and tells everyone concerned. */
export const ConsultCommand = z.discriminatedUnion('type', [
  z.object({ ...commandBase, type: z.literal('submit'), facts: ConsultFacts, sealed: SealedContent }),
  z.object({ ...commandBase, type: z.literal('claim'), expectedRevision: z.number().int().positive() }),
  z.object({ ...commandBase, type: z.literal('release'), reason: z.string().max(500) }),
  z.object({ ...commandBase, type: z.literal('decline'), reason: z.string().min(1).max(500) }),
  /** The expert opened the case for reading (处理中). */
  z.object({ ...commandBase, type: z.literal('start') }),
  z.object({ ...commandBase, type: z.literal('sign'), sealed: SealedContent }),
  /** The submitter's node holds the opinion. */
  z.object({ ...commandBase, type: z.literal('return') }),
  /** The requester opened the opinion. */
  z.object({ ...commandBase, type: z.literal('read') }),
  /** Somebody who holds the opinion gave it to a printer (CON-28): every printing is a step of its own, the state stays. */
  z.object({ ...commandBase, type: z.literal('print') }),
  z.object({ ...commandBase, type: z.literal('cancel'), reason: z.string().min(1).max(500) }),
  /** A node holds all images of the task (push, prefetch). */
  z.object({ ...commandBase, type: z.literal('images-arrived'), instanceCount: z.number().int(), sizeBytes: z.number().int() }),
])
export type ConsultCommand = z.infer<typeof ConsultCommand>
export type ConsultCommandType = ConsultCommand['type']

export const Holder = Actor.extend({ since: EpochMs })
export type Holder = z.infer<typeof Holder>

/** One step of a consultation as sequenced by the hub; `revision` counts per task from 1 and is the fencing token of a claim. */
export const ConsultEvent = z.object({
  taskId: TaskId,
  revision: z.number().int().positive(),
  type: z.enum(['submitted', 'claimed', 'released', 'declined', 'started', 'signed', 'returned', 'read', 'printed', 'cancelled', 'images-arrived']),
  commandId: MessageId,
  by: Actor,
  /** When the person acted, by the node's clock. */
  at: EpochMs,
  /** When the hub gave it its place, by the hub's clock. */
  sequencedAt: EpochMs,
  submitter: HospitalId,
  state: ConsultState,
  holder: Holder.optional(),
  /** On `submitted`. */
  facts: ConsultFacts.optional(),
  /** On `submitted` (ConsultRequest) and `signed` (Opinion): opened only by its recipients. */
  sealed: SealedContent.optional(),
  reason: z.string().optional(),
  instanceCount: z.number().int().optional(),
  sizeBytes: z.number().int().optional(),
})
export type ConsultEvent = z.infer<typeof ConsultEvent>

/** What the hub asks of a node after its own start: the order in which it had put commands, as the node heard it. */
export const ConsultOrderQuery = z.object({ since: EpochMs })
export type ConsultOrderQuery = z.infer<typeof ConsultOrderQuery>
export const ConsultStep = z.object({ taskId: TaskId, revision: z.number().int().positive(), commandId: MessageId, sequencedAt: EpochMs })
export type ConsultStep = z.infer<typeof ConsultStep>
/** Of tasks that changed since then; acts themselves are not among them: those come again from their authors, under their signatures. */
export const ConsultOrder = z.object({ steps: z.array(ConsultStep).max(20_000) })
export type ConsultOrder = z.infer<typeof ConsultOrder>

/** Every command is answered, accepted or refused, with its id (AGT-07). */
export const ConsultAnswer = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('accepted'), commandId: MessageId, taskId: TaskId, revision: z.number().int().positive() }),
  z.object({ outcome: z.literal('refused'), commandId: MessageId, taskId: TaskId, problem: z.object({ code: z.string(), facts: z.record(z.string(), z.unknown()) }) }),
])
export type ConsultAnswer = z.infer<typeof ConsultAnswer>

/** Exam as the submitter's RIS holds it; also the answer of service `exam.read`, always live (CON-12). */
export const ExamSnapshot = z.object({
  hospitalId: HospitalId,
  accessionNumber: z.string().max(64),
  patient: z.object({ id: z.string().max(64), name: z.string().max(200), sex: z.string().max(4), birthDate: z.string().max(10), age: z.string().max(8) }),
  modality: z.string().max(16),
  bodyPart: z.string().max(64),
  description: z.string().max(200),
  studyDate: z.string().max(10),
  studyTime: z.string().max(16),
  clinicalHistory: z.string().max(20_000),
  reportFindings: z.string().max(50_000),
  reportImpression: z.string().max(20_000),
  updatedAt: EpochMs,
})
export type ExamSnapshot = z.infer<typeof ExamSnapshot>

/** Sealed request of service `exam.read`; the answer is an ExamSnapshot. `assertion`: who reads; a grant of a person needs it. */
export const ExamRead = z.object({ studyInstanceUid: StudyInstanceUid, taskId: TaskId.optional(), grant: SignedGrant, assertion: SignedAssertion.optional() })
export type ExamRead = z.infer<typeof ExamRead>

/** Sealed content of `submit`. `taskId` repeats the outer one: content cannot be moved to another task. */
export const ConsultRequest = z.object({
  kind: z.literal('consult-request'),
  taskId: TaskId,
  question: z.string().min(1).max(5_000),
  exam: ExamSnapshot,
  studies: z.array(z.object({ studyInstanceUid: StudyInstanceUid, instanceCount: z.number().int(), sizeBytes: z.number().int() })).min(1),
})
export type ConsultRequest = z.infer<typeof ConsultRequest>

export const KeyImage = z.object({
  studyInstanceUid: StudyInstanceUid,
  seriesInstanceUid: SeriesInstanceUid,
  sopInstanceUid: SopInstanceUid,
  sopClassUid: SopClassUid,
  /** 1-based frame number in a multi-frame instance. */
  frame: z.number().int().positive().optional(),
  note: z.string().max(200).optional(),
})
export type KeyImage = z.infer<typeof KeyImage>

/** What the expert signs: canonical JSON (sorted keys, no spaces, NFC) of this object is the signed text. */
export const OpinionText = z.object({
  opinionId: MessageId,
  taskId: TaskId,
  /** 影像所见 */
  findings: z.string().max(50_000),
  /** 会诊意见 */
  opinion: z.string().min(1).max(20_000),
  /** 建议 */
  advice: z.string().max(10_000),
  keyImages: z.array(KeyImage).max(100),
  /** SM3 of the Key Object Selection file, if there are key images. */
  keyObjectSm3: Sm3Hex.optional(),
  signer: Actor,
  signedAt: EpochMs,
})
export type OpinionText = z.infer<typeof OpinionText>

/** Sealed content of `sign`. */
export const Opinion = z.object({
  kind: z.literal('opinion'),
  text: OpinionText,
  /** SM2 signature of the hospital over the canonical text, DER, base64 (GB/T 32918.2). */
  signature: z.string(),
  /** PEM chain of the hospital, leaf first. */
  certificateChain: z.array(z.string()).min(1),
  /** The signer's own signature over the same text; absent from opinions of before doctors had keys. */
  author: DetachedSignature.optional(),
  /** RFC 3161 TimeStampToken over the author's signature (the hospital's without one), base64 of DER; absent when signed offline. */
  timeStamp: z.string().max(20_000).optional(),
  /** Key Object Selection Document (PS3.3 A.35.4), Part 10 file, base64. */
  keyObject: z.string().max(1_000_000).optional(),
})
export type Opinion = z.infer<typeof Opinion>

