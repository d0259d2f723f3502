import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'

const words = (most: number) => z.string().trim().max(most).optional()

/** GET /api/studies: what studies are looked for by, in any combination (ARC-16). Numbers may have `*` and `?`. */
export const StudySearch = z.object({
  /** 姓名, its words in any order, or how they are read; or 患者号 or 检查号. */
  text: words(100),
  patientId: words(64),
  accessionNumber: words(16),
  /** 影像号, Study ID (0020,0010). */
  studyId: words(16),
  modality: words(16),
  bodyPart: words(16),
  description: words(64),
  /** 设备, Station Name (0008,1010). */
  device: words(16),
  /** 接收节点, at which AE title they came (FED-19). */
  receivingNode: words(16),
  /** 院区 (ARC-19). */
  campus: words(32),
  dateFrom: z.iso.date().optional(),
  dateTo: z.iso.date().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** As the page before gave it in `next`. */
  after: z
    .string()
    .regex(/^(?:\d{8}|none)?\.\d{1,7}$/)
    .optional(),
})
export type StudySearch = z.output<typeof StudySearch>

/** A study of the hospital's archive on a list, the newest first. Names and numbers are masked (SEC-06). */
export const StudyListRow = z.object({
  studyInstanceUid: StudyInstanceUid,
  patientName: z.string(),
  patientId: z.string(),
  patientSex: z.string(),
  patientBirthDate: z.string(),
  patientAge: z.string(),
  accessionNumber: z.string(),
  studyId: z.string(),
  /** YYYYMMDD and HHMMSS[.ffffff], '' when unknown. */
  studyDate: z.string(),
  studyTime: z.string(),
  description: z.string(),
  modalities: z.array(z.string()),
  bodyParts: z.array(z.string()),
  /** Station names, or makers and models where there are none. */
  devices: z.array(z.string()),
  receivingNodes: z.array(z.string()),
  seriesCount: z.number().int(),
  instanceCount: z.number().int(),
  sizeBytes: z.number().int(),
  /** 存储层, '' for the archive's own disk. */
  tier: z.string(),
  campus: z.string(),
  receivedAt: EpochMs,
})
export type StudyListRow = z.output<typeof StudyListRow>

export const StudyList = z.object({ rows: z.array(StudyListRow), next: z.string().nullable() })
export type StudyList = z.output<typeof StudyList>
