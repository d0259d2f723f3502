import type { ConsultDetail, ExamSnapshot } from 'specs'
import { examTimeText, personNameText } from '../exam/exam-text.ts'
import { hospitalName } from './consult-step.ts'

/** Paper outlives the day, so its times always carry their date: `2026-11-22 09:30`, local. */
export function paperTime(at: number): string {
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** `067Y` (PS3.5 AS) → its number and unit as a message key; undefined for anything else. */
export function ageOf(age: string): { key: 'Y' | 'M' | 'W' | 'D'; n: number } | undefined {
  const [, digits, unit] = /^(\d{1,3})([YMWD])$/.exec(age.trim()) ?? []
  return digits === undefined ? undefined : { key: unit as 'Y' | 'M' | 'W' | 'D', n: Number(digits) }
}

export interface SheetFact {
  /** Key of the message catalogue. */
  readonly label: string
  readonly text: string
}

/**
 * What stands at the head of 影像会诊意见书, in the order of the paper; what is not known is left out, not printed as a gap.
 * @param exam the patient and exam as their hospital has them now, or as they came with the request.
 * @param say the page's messages, for sex and age.
 */
export function sheetFacts(consult: ConsultDetail, exam: ExamSnapshot | undefined, say: (key: string, values?: Record<string, unknown>) => string): SheetFact[] {
  const applied = consult.events.find(({ type }) => type === 'submitted')
  const age = ageOf(exam?.patient.age ?? '')
  const sex = exam?.patient.sex
  const signer = consult.opinion?.text.signer
  const facts: SheetFact[] = [
    { label: 'print.name', text: personNameText(exam?.patient.name ?? consult.patientName) },
    { label: 'exam.sex', text: sex === 'M' || sex === 'F' ? say(`exam.${sex}`) : (sex ?? '') },
    { label: 'print.age', text: age ? say(`print.age${age.key}`, { n: age.n }) : '' },
    { label: 'exam.birthDate', text: examTimeText(exam?.patient.birthDate ?? '', '') },
    { label: 'exam.patientId', text: exam?.patient.id ?? '' },
    { label: 'exam.accession', text: exam?.accessionNumber ?? '' },
    { label: 'print.examined', text: [exam?.modality ?? consult.facts.modality, exam?.bodyPart || consult.facts.bodyPart].filter(Boolean).join(' ') },
    { label: 'exam.description', text: exam?.description ?? '' },
    { label: 'exam.time', text: exam ? examTimeText(exam.studyDate, exam.studyTime) : '' },
    { label: 'consult.submitter', text: hospitalName(consult, consult.submitter) },
    { label: 'print.applicant', text: applied ? [applied.by.name, applied.by.title].filter(Boolean).join(' ') : '' },
    { label: 'consult.applied', text: paperTime(applied?.at ?? consult.appliedAt) },
    { label: 'consult.target', text: signer ? hospitalName(consult, signer.hospitalId) : '' },
    { label: 'print.expert', text: signer ? [signer.name, signer.title].filter(Boolean).join(' ') : '' },
    { label: 'print.signedAt', text: consult.opinion ? paperTime(consult.opinion.text.signedAt) : '' },
  ]
  return facts.filter(({ text }) => text !== '')
}

/** `unchecked` until this hospital has verified the signature. */
export function signatureState({ opinionValid }: Pick<ConsultDetail, 'opinionValid'>): 'valid' | 'invalid' | 'unchecked' {
  return opinionValid === null ? 'unchecked' : opinionValid ? 'valid' : 'invalid'
}
