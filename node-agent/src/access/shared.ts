import type { Authorisation, CarePurpose, EpochMs, ExamLabel, GrantId, GrantKind, HospitalId, StudyInstanceUid, UserId } from 'specs'

/** A grant of another hospital that one of our people has been given, as far as access depends on it. */
export interface HeldGrant {
  readonly grantId: GrantId
  readonly owner: HospitalId
  readonly person: UserId
  readonly studyInstanceUids: readonly StudyInstanceUid[]
  readonly kind: GrantKind
  readonly purpose: CarePurpose
  readonly expires: EpochMs
  readonly withdrawnAt: EpochMs | null
}

/** As much of an exam of ours as authorisations speak of. Dates are ISO, '' when unknown. */
export interface SharedExam {
  readonly patientId: string
  readonly study: StudyInstanceUid
  readonly modality: string
  readonly studyDate: string
  readonly label: ExamLabel
}

export interface SharingQuestion {
  readonly authorisations: readonly Authorisation[]
  readonly exam: SharedExam
  readonly hospital: HospitalId
  readonly purpose: CarePurpose
  readonly now: EpochMs
}

/**
 * The authorisation under which another hospital may have an exam of ours; undefined: there is none. The patient's own consent goes
 * before a policy, and what lasts longest before what ends sooner, so that the reason given is the strongest there is.
 */
export function decideSharing(question: SharingQuestion): Authorisation | undefined {
  return question.authorisations
    .filter((one) => covers(one, question))
    .sort((a, b) => Number(a.kind === 'policy') - Number(b.kind === 'policy') || b.expires - a.expires)[0]
}

function covers({ grantees, purposes, scope, validFrom, expires, withdrawn }: Authorisation, { exam, hospital, purpose, now }: SharingQuestion): boolean {
  if (withdrawn !== null || now < validFrom || now >= expires) return false
  if (grantees !== 'region' && !grantees.includes(hospital)) return false
  if (!purposes.includes(purpose)) return false
  const { patientId, studyInstanceUids, modalities, dateFrom, dateTo } = scope
  if (patientId !== '' && patientId !== exam.patientId) return false
  if (studyInstanceUids.length > 0 && !studyInstanceUids.includes(exam.study)) return false
  if (modalities.length > 0 && !modalities.includes(exam.modality)) return false
  // An exam without a date lies in no period.
  if (dateFrom !== '' && !(exam.studyDate !== '' && exam.studyDate >= dateFrom)) return false
  if (dateTo !== '' && !(exam.studyDate !== '' && exam.studyDate <= dateTo)) return false
  return isMeant(exam.label, scope)
}

/** A general policy does not reach exams that carry a label: those are shared by name only, 涉密 by their very study. */
function isMeant(label: ExamLabel, { patientId, studyInstanceUids }: Authorisation['scope']): boolean {
  if (label === 'ordinary') return true
  return studyInstanceUids.length > 0 || (patientId !== '' && label !== 'classified')
}
