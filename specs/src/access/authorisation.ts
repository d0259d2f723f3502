import { z } from 'zod'
import { CarePurpose } from '../federation/assertion.ts'
import { EpochMs, HospitalId, StudyInstanceUid } from '../identifiers.ts'
import { IdCard } from './id-card.ts'

const isoDay = z.string().regex(/^(\d{4}-\d{2}-\d{2})?$/, 'YYYY-MM-DD')

/** Which of the owner's exams: everything that is said must hold. Empty lists and texts say nothing. */
export const SharedScope = z.object({
  /** The owner's patient number; '' for a policy about whoever comes. */
  patientId: z.string().trim().max(64).default(''),
  studyInstanceUids: z.array(StudyInstanceUid).max(100).default([]),
  modalities: z.array(z.string().trim().min(1).max(16)).max(30).default([]),
  /** Study dates, inclusive. */
  dateFrom: isoDay.default(''),
  dateTo: isoDay.default(''),
})
export type SharedScope = z.output<typeof SharedScope>

/** Some hospitals, or every hospital of the region. */
export const Grantees = z.union([z.literal('region'), z.array(HospitalId).min(1).max(500)])
export type Grantees = z.infer<typeof Grantees>

/**
 * 授权: a standing decision of the owner (`policy`) or of the patient (`consent`). Grants for single studies are derived from it when
 * somebody opens one, and live for an hour or so.
 */
export const Authorisation = z.object({
  authorisationId: z.uuid(),
  kind: z.enum(['policy', 'consent']),
  grantees: Grantees,
  purposes: z.array(CarePurpose).min(1),
  scope: SharedScope,
  validFrom: EpochMs,
  expires: EpochMs,
  reason: z.string().max(500),
  issuedAt: EpochMs,
  issuedBy: z.object({ id: z.string(), name: z.string() }),
  withdrawn: z.object({ at: EpochMs, by: z.string(), reason: z.string() }).nullable(),
})
export type Authorisation = z.infer<typeof Authorisation>

/** As a person is looked for at other hospitals: a name, and one number or date that the other hospital must know too. Never a pattern. */
export const PatientIdentity = z
  .object({
    name: z.string().trim().min(2).max(60).regex(/^[^*?%_\\]+$/, '请填写完整姓名'),
    idCard: IdCard.optional(),
    /** The number at the hospital that is asked. */
    patientId: z.string().trim().min(1).max(64).regex(/^[^*?%\\]+$/).optional(),
    birthDate: z.iso.date().optional(),
  })
  .refine(({ idCard, patientId, birthDate }) => idCard !== undefined || patientId !== undefined || birthDate !== undefined, {
    message: '请填写身份证号、患者号或出生日期之一',
  })
export type PatientIdentity = z.output<typeof PatientIdentity>

/** How the patient agreed. `code`: the owner's registrar gave the patient a code, which the treating hospital enters. */
export const ConsentForm = z.enum(['signature', 'guardian-signature', 'code'])
export type ConsentForm = z.infer<typeof ConsentForm>

/** The wording that patients agree to; a new wording gets a new version, old ones stay readable in ./consent-texts.ts. */
export const ConsentVersion = z.string().regex(/^\d{4}-\d{2}$/)

/** A consent recorded at the treating hospital, as it travels with a search inside a sealed call. */
export const ConsentStatement = z.object({
  consentId: z.uuid(),
  recordedAt: EpochMs,
  recordedBy: z.object({ id: z.string().max(64), name: z.string().max(60) }),
  textVersion: ConsentVersion,
  form: ConsentForm,
  purposes: z.array(CarePurpose).min(1),
  scope: SharedScope.omit({ patientId: true, studyInstanceUids: true }),
  expires: EpochMs,
})
export type ConsentStatement = z.infer<typeof ConsentStatement>
