import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'

/** Transfer syntaxes in which images may be kept (ARC-14), by what they do to pixels. */
export const losslessStorage = ['1.2.840.10008.1.2.4.80', '1.2.840.10008.1.2.4.201', '1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.4.70', '1.2.840.10008.1.2.5'] as const
export const lossyStorage = ['1.2.840.10008.1.2.4.91', '1.2.840.10008.1.2.4.81', '1.2.840.10008.1.2.4.50'] as const
const isLossy = (uid: string): boolean => lossyStorage.some((each) => each === uid)

/** Nothing is lost before whoever has to read the images has had this long. */
export const leastHoursBeforeLoss = 24

/** 压缩策略: how images of a modality are kept once they have rested. */
export const CompressionRuleInput = z
  .object({
    /** `*` for all; loss is only ever allowed for a modality by name, and never for mammograms. */
    modality: z.string().trim().regex(/^(?:\*|[A-Z0-9_]{1,16})$/),
    /** '' for every SOP class. */
    sopClassUid: z.string().trim().regex(/^(?:|[0-9.]{1,64})$/).default(''),
    /** '' for every campus. */
    campus: z.string().trim().max(64).default(''),
    /** Hours in which nothing of the exam and its images has changed. */
    afterHours: z.number().int().min(0).max(876_000),
    transferSyntaxUid: z.enum([...losslessStorage, ...lossyStorage]),
    /** JPEG baseline, 1 to 100. */
    quality: z.number().int().min(50).max(100).default(90),
    /** JPEG 2000 lossy: so many times smaller. */
    ratio: z.number().min(2).max(30).default(10),
    /** JPEG-LS near-lossless: how far a sample may be from its original. */
    allowedError: z.number().int().min(1).max(10).default(2),
    enabled: z.boolean().default(true),
  })
  .refine(({ transferSyntaxUid, modality }) => !isLossy(transferSyntaxUid) || (modality !== '*' && modality !== 'MG'), { path: ['modality'], error: '有损压缩须指定类型，且不能用于乳腺钼靶' })
  .refine(({ transferSyntaxUid, afterHours }) => !isLossy(transferSyntaxUid) || afterHours >= leastHoursBeforeLoss, { path: ['afterHours'], error: '有损压缩须在 24 小时以后' })
export type CompressionRuleInput = z.output<typeof CompressionRuleInput>

/** GET /api/archive/compression: a rule, and what it has done. */
export const CompressionRule = z.object({
  id: z.string(),
  ...CompressionRuleInput.shape,
  revision: z.number().int(),
  updatedAt: EpochMs,
  updatedBy: z.string(),
  studies: z.number().int(),
  instances: z.number().int(),
  /** Of the instances that were compressed, then and now. */
  beforeBytes: z.number().int(),
  afterBytes: z.number().int(),
  failed: z.number().int(),
})
export type CompressionRule = z.output<typeof CompressionRule>

export const CompressionChange = z.object({ rule: CompressionRuleInput, revision: z.number().int() })

/** What became of one study. */
export const CompressionResult = z.object({
  ruleId: z.string(),
  studyInstanceUid: StudyInstanceUid,
  state: z.enum(['done', 'failed']),
  instances: z.number().int(),
  beforeBytes: z.number().int(),
  afterBytes: z.number().int(),
  /** Why it failed: a problem's code. */
  code: z.string(),
  finishedAt: EpochMs,
})
export type CompressionResult = z.output<typeof CompressionResult>
