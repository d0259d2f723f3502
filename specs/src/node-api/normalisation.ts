import { z } from 'zod'
import { EpochMs, StudyInstanceUid } from '../identifiers.ts'

/** Attributes whose text a rule may look at, and those that a rule may fill. */
export const NormalisedSource = z.enum(['StudyDescription', 'SeriesDescription', 'ProtocolName', 'StationName', 'Manufacturer', 'ManufacturerModelName', 'BodyPartExamined', 'Modality', 'InstitutionName'])
export type NormalisedSource = z.infer<typeof NormalisedSource>
export const NormalisedAttribute = z.enum(['Modality', 'BodyPartExamined', 'StudyDescription', 'SeriesDescription', 'InstitutionName', 'StationName', 'ReferringPhysicianName'])
export type NormalisedAttribute = z.infer<typeof NormalisedAttribute>

const text = z.string().trim().max(64)
const idPart = z.string().trim().max(16).regex(/^[^\\^=]*$/) // prettier-ignore

/** One thing that a rule does to a header (ARC-25). */
export const NormalisationAction = z.discriminatedUnion('kind', [
  /** Texts that came without a character set, or as Latin, are read so; written as UTF-8. Only where that gives Chinese text. */
  z.object({ kind: z.literal('character-set'), readAs: z.enum(['auto', 'GB18030', 'UTF-8']) }),
  /** Dates, times, ages, sex, codes and names in the form that DICOM wants; what is too long is cut. */
  z.object({ kind: z.literal('conform') }),
  z.object({
    kind: z.literal('patient-id'),
    upperCase: z.boolean().default(false),
    /** `remove`, or as many figures as the hospital's numbers have. */
    leadingZeros: z.enum(['keep', 'remove', 'pad']).default('keep'),
    padTo: z.number().int().min(1).max(32).default(8),
    removePrefix: idPart.default(''),
    addPrefix: idPart.default(''),
  }),
  z.object({
    kind: z.literal('fill'),
    attribute: NormalisedAttribute,
    /** Also where something stands there. */
    overwrite: z.boolean().default(false),
    /** The first whose text contains the words, in any case, gives the value. */
    when: z.array(z.object({ source: NormalisedSource, contains: text.min(1), value: text.min(1) })).max(100).default([]),
    /** Where none does; '' leaves it. */
    otherwise: text.default(''),
  }),
]) // prettier-ignore
export type NormalisationAction = z.output<typeof NormalisationAction>

/** For which senders and kinds of images, and what is done. */
export const NormalisationRule = z.object({
  name: z.string().trim().min(1).max(64),
  enabled: z.boolean().default(true),
  /** AE title or account of the sender; `*` stands for any part, '' for everybody. */
  source: z.string().trim().max(32).default(''),
  /** '' for every modality. */
  modality: z.string().trim().max(16).default(''),
  actions: z.array(NormalisationAction).max(20).default([]),
  /** What becomes of changed content under a SOP Instance UID that is held: it takes the place of the former (kept beside), or is refused and listed. null: as other rules say, otherwise `replace`. */
  changedContent: z.enum(['replace', 'refuse']).nullable().default(null),
})
export type NormalisationRule = z.output<typeof NormalisationRule>

export const KeptNormalisationRule = NormalisationRule.extend({ ruleId: z.string(), position: z.number().int(), updatedAt: EpochMs, updatedBy: z.string() })
export type KeptNormalisationRule = z.output<typeof KeptNormalisationRule>

/** GET /api/normalisation/changes: what was changed on the way in; names and numbers masked. */
export const NormalisationChange = z.object({
  sopInstanceUid: z.string(),
  studyInstanceUid: StudyInstanceUid,
  at: EpochMs,
  /** Rules by name, or `correction:` and its id. */
  by: z.string(),
  source: z.string(),
  changes: z.array(z.object({ attribute: z.string(), from: z.string(), to: z.string() })),
})
export type NormalisationChange = z.infer<typeof NormalisationChange>
