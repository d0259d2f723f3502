import { z } from 'zod'
import { AeTitle, HospitalId } from '../identifiers.ts'

const Uid = z.string().max(64).regex(/^[0-9]+(?:\.[0-9]+)*$/, 'not a DICOM UID')

/** How text goes out to devices. */
export const DicomCharset = z.enum(['ISO_IR 192', 'GB18030'])
export type DicomCharset = z.infer<typeof DicomCharset>

/**
 * How the node's DICOM ports behave (ARC-05): changed at run time, for associations from then on. Whatever nobody has changed follows the
 * configuration file.
 */
export const DicomSettings = z.strictObject({
  /** AE 校验: only registered devices may associate. A device that is registered and not allowed stays out either way. */
  checkCallingAe: z.boolean(),
  /** Whether callers must name one of our own AE titles. */
  checkCalledAe: z.boolean(),
  /** Associations at the same time, over all ports. */
  maxAssociations: z.number().int().min(1).max(1_000),
  /** Longest P-DATA-TF that we take, announced to the peer. */
  maxPduBytes: z.number().int().min(4_096).max(1_048_576),
  /** From connection to the whole association request. */
  artimMs: z.number().int().min(1_000).max(300_000),
  /** Between two messages. */
  idleMs: z.number().int().min(1_000).max(3_600_000),
  /** Inside a message something must move in each such span. */
  stallMs: z.number().int().min(1_000).max(600_000),
  /** Answers to one query. */
  maxMatches: z.number().int().min(1).max(100_000),
  /** Vendors' own storage classes, and those newer than our table. */
  privateSopClasses: z.enum(['accept', 'refuse']),
  /** SOP classes of any kind that are not accepted although we could. */
  refusedSopClasses: z.array(Uid).max(500),
  /** Character set of answers to devices that have none of their own. */
  charset: DicomCharset,
})
export type DicomSettings = z.infer<typeof DicomSettings>

/** PUT /api/dicom-settings: what is absent stays. */
export const DicomSettingsChange = DicomSettings.partial()
export type DicomSettingsChange = z.infer<typeof DicomSettingsChange>

/**
 * 接收节点 (FED-19): an AE title of ours, perhaps with a port of its own, for the images of one submitter. What is sent there is kept as the
 * submitter's, below a folder of its own, and whoever queries it there finds nothing else.
 */
export const ReceivingNode = z.strictObject({
  aeTitle: AeTitle,
  /** null: on the node's DICOM port, told apart by the called AE title. */
  port: z.number().int().min(1).max(65_535).nullable().default(null),
  description: z.string().trim().max(100).default(''),
  enabled: z.boolean().default(true),
  /** 提交方: another hospital, whose images go into the regional archive in its name; null: a part of this hospital. */
  hospitalId: HospitalId.nullable().default(null),
  /** Exams that nobody registered before their images came belong there. */
  place: z.object({ campus: z.string().max(32), department: z.string().max(32), area: z.string().max(32) }).default({ campus: '', department: '', area: '' }),
  /** Calling AE titles that may use it; empty: every device that may store. */
  callers: z.array(AeTitle).max(200).default([]),
})
export type ReceivingNode = z.output<typeof ReceivingNode>

/** GET /api/receiving-nodes. */
export const ReceivingNodeRow = ReceivingNode.extend({
  id: z.string(),
  /** As it listens now; null with `problem` when its port cannot be taken. */
  listening: z.boolean(),
  problem: z.string().nullable(),
  studies: z.number().int(),
})
export type ReceivingNodeRow = z.output<typeof ReceivingNodeRow>

/** GET /api/dicom-settings. */
export const DicomService = z.object({
  settings: DicomSettings,
  /** What the configuration file says, for whoever wants to go back to it. */
  configured: DicomSettings,
  aeTitle: z.string(),
  port: z.number().int(),
  tlsPort: z.number().int().nullable(),
  openAssociations: z.number().int(),
})
export type DicomService = z.infer<typeof DicomService>
