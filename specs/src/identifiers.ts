import { z } from 'zod'
import { Problem } from './problem.ts'

/**
 * Identifiers have their own types, made by one parser at the edge, so that a study UID cannot stand where a series UID
 * is meant. All schemas are usable inside larger zod schemas; `parse…` throws `request/invalid`.
 */
const slug = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'lower-case letters, digits and hyphens, at most 32')

/** Region identifier, one token of a NATS subject (FED-20). */
export const RegionId = slug.brand<'RegionId'>()
export type RegionId = z.infer<typeof RegionId>

/** Unique identifier of a hospital in its region, one token of a NATS subject (FED-09). `hub` and `all` are reserved. */
export const HospitalId = slug.refine((id) => id !== 'hub' && id !== 'all', 'reserved').brand<'HospitalId'>()
export type HospitalId = z.infer<typeof HospitalId>

export const HUB = 'hub' as const
/** Whoever can seal a message: the hub or a hospital. */
export const PartyId = z.union([z.literal(HUB), HospitalId])
export type PartyId = z.infer<typeof PartyId>

export const TaskId = z.uuid().brand<'TaskId'>()
export type TaskId = z.infer<typeof TaskId>
export const MessageId = z.uuid().brand<'MessageId'>()
export type MessageId = z.infer<typeof MessageId>
export const GrantId = z.uuid().brand<'GrantId'>()
export type GrantId = z.infer<typeof GrantId>
export const UserId = z.string().min(1).max(64).brand<'UserId'>()
export type UserId = z.infer<typeof UserId>

/** Milliseconds since 1970-01-01T00:00:00Z. */
export const EpochMs = z.number().int().nonnegative()
export type EpochMs = number

/** SM3 digest, 64 lower-case hex characters (GB/T 32905-2016). */
export const Sm3Hex = z.string().regex(/^[0-9a-f]{64}$/).brand<'Sm3Hex'>()
export type Sm3Hex = z.infer<typeof Sm3Hex>

// PS3.5 9.1: digits and dots, at most 64 characters, no empty component. Leading zeros are wrong but common in old
// data, so they pass; anything that could be a path does not.
const uid = z.string().max(64).regex(/^[0-9]+(?:\.[0-9]+)*$/, 'not a DICOM UID')
export const StudyInstanceUid = uid.brand<'StudyInstanceUid'>()
export type StudyInstanceUid = z.infer<typeof StudyInstanceUid>
export const SeriesInstanceUid = uid.brand<'SeriesInstanceUid'>()
export type SeriesInstanceUid = z.infer<typeof SeriesInstanceUid>
export const SopInstanceUid = uid.brand<'SopInstanceUid'>()
export type SopInstanceUid = z.infer<typeof SopInstanceUid>
export const SopClassUid = uid.brand<'SopClassUid'>()
export type SopClassUid = z.infer<typeof SopClassUid>
export const TransferSyntaxUid = uid.brand<'TransferSyntaxUid'>()
export type TransferSyntaxUid = z.infer<typeof TransferSyntaxUid>

/** PS3.8 9.3.2: 16 characters of the default repertoire, spaces at the ends not significant, no backslash, no control characters. */
export const AeTitle = z
  .string()
  .transform((text) => text.trim())
  .pipe(z.string().min(1).max(16).regex(/^[\x20-\x5b\x5d-\x7e]+$/, 'not an AE title'))
  .brand<'AeTitle'>()
export type AeTitle = z.infer<typeof AeTitle>

/** Parses anything from outside; the first issue is named, the value never (it may hold a patient's data). */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, 5).map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }))
  throw new Problem('request/invalid', { what, issues })
}

export const parseTaskId = (text: unknown): TaskId => parseWith(TaskId, text, 'taskId')
export const parseHospitalId = (text: unknown): HospitalId => parseWith(HospitalId, text, 'hospitalId')
export const parseAeTitle = (text: unknown): AeTitle => parseWith(AeTitle, text, 'aeTitle')
export const parseStudyInstanceUid = (text: unknown): StudyInstanceUid => parseWith(StudyInstanceUid, text, 'studyInstanceUid')
export const parseSeriesInstanceUid = (text: unknown): SeriesInstanceUid => parseWith(SeriesInstanceUid, text, 'seriesInstanceUid')
export const parseSopInstanceUid = (text: unknown): SopInstanceUid => parseWith(SopInstanceUid, text, 'sopInstanceUid')
