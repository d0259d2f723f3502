import type { PatientClass, RetentionYears } from 'specs'

/** 医疗机构病历管理规定: outpatient images 15 years after the last visit, inpatient ones 30 after the last discharge; unknown ones as the longer. */
export const defaultYears: RetentionYears = { outpatient: 15, emergency: 15, physical: 15, inpatient: 30, '': 30 }

/** A visit or stay of a patient: by an exam, or told by HIS. `on` is an ISO date. */
export interface Visit {
  readonly patientClass: PatientClass
  readonly on: string
}

export interface RetentionReason {
  readonly patientClass: PatientClass
  readonly lastOn: string
  readonly years: number
  readonly until: string
}

/**
 * How long the exams of one patient are kept. Each class counts from its own last visit; of several the longest wins, for every exam of the
 * patient (LOC-06).
 *
 * @returns The latest date first; empty without any visit.
 */
export function retentionOf(visits: readonly Visit[], years: RetentionYears): RetentionReason[] {
  const last = new Map<PatientClass, string>()
  for (const { patientClass, on } of visits) if (on > (last.get(patientClass) ?? '')) last.set(patientClass, on)
  return [...last]
    .map(([patientClass, lastOn]) => ({ patientClass, lastOn, years: years[patientClass], until: plusYears(lastOn, years[patientClass]) }))
    .sort((a, b) => b.until.localeCompare(a.until))
}

/** The 29th of February falls on the 28th where there is none. */
export function plusYears(date: string, years: number): string {
  const [year = '', month = '', day = ''] = date.split('-')
  const later = Number(year) + years
  const isLeap = (later % 4 === 0 && later % 100 !== 0) || later % 400 === 0
  return `${String(later).padStart(4, '0')}-${month}-${month === '02' && day === '29' && !isLeap ? '28' : day}`
}

export type DestructionDecision = { readonly allowed: true } | { readonly allowed: false; readonly code: 'retention/not-yet' | 'retention/legal-hold' | 'retention/in-use' }

/** What an exam must be before it is destroyed. `today` and `retainUntil` are ISO dates, the latter inclusive. */
export function decideDestruction(exam: { retainUntil: string; legalHold: boolean; isRecord: boolean; openConsults: number }, today: string): DestructionDecision {
  if (exam.legalHold) return { allowed: false, code: 'retention/legal-hold' }
  if (exam.openConsults > 0) return { allowed: false, code: 'retention/in-use' }
  // Registered by mistake: never examined, never reported, so nothing that the law wants kept.
  if (!exam.isRecord) return { allowed: true }
  return exam.retainUntil !== '' && exam.retainUntil < today ? { allowed: true } : { allowed: false, code: 'retention/not-yet' }
}
