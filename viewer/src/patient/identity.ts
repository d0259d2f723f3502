import type { ExamDetail, ExamSnapshot } from 'specs'
import { personName, tags, text, type Dataset } from '../dicomweb/dataset.ts'

/** Whose images these are, as the top line shows it. Empty strings where nobody knows. */
export interface Identity {
  readonly name: string
  readonly sex: 'M' | 'F' | 'O' | ''
  readonly age: string
  readonly patientId: string
  readonly birthDate: string
  readonly accessionNumber: string
  readonly studyDate: string
  readonly modality: string
  readonly description: string
}

/**
 * The exam register knows the patient better than the images (names there are often Latin or removed), so it comes
 * first: the request of the consultation, then the hospital's own exam, then the images.
 */
export function identityOf(sources: {
  request?: ExamSnapshot | undefined
  exam?: ExamDetail | undefined
  dataset?: Dataset | undefined
}): Identity {
  const { request, exam, dataset = {} } = sources
  const pick = (...values: (string | undefined)[]): string =>
    values.find((value) => value !== undefined && value.trim() !== '')?.trim() ?? ''
  const birthDate = dateText(pick(request?.patient.birthDate, exam?.patientBirthDate, text(dataset, tags.patientBirthDate)))
  const studyDate = dateText(pick(request?.studyDate, exam?.studyDate, text(dataset, tags.studyDate)))
  return {
    name: pick(request?.patient.name, exam?.patientName, personName(dataset, tags.patientName)),
    sex: sexOf(pick(request?.patient.sex, exam?.patientSex, text(dataset, tags.patientSex))),
    age: ageText(pick(request?.patient.age, text(dataset, tags.patientAge))) || ageAt(birthDate, studyDate),
    patientId: pick(request?.patient.id, exam?.patientId, text(dataset, tags.patientId)),
    birthDate,
    accessionNumber: pick(request?.accessionNumber, exam?.accessionNumber, text(dataset, tags.accessionNumber)),
    studyDate,
    modality: pick(request?.modality, exam?.modality, text(dataset, tags.modality)),
    description: pick(request?.description, exam?.description, text(dataset, tags.studyDescription), text(dataset, tags.bodyPartExamined)),
  }
}

/** `20000101` → `2000-01-01`; anything else stays as it is. */
export function dateText(date: string): string {
  const [, year, month, day] = /^(\d{4})[.-]?(\d{2})[.-]?(\d{2})$/.exec(date) ?? []
  return year && month && day ? `${year}-${month}-${day}` : date
}

/** `063Y` → `63Y`, `006M` → `6M` (PS3.5, value representation AS). */
export function ageText(age: string): string {
  const [, count, unit] = /^0*(\d+)([YMWD])$/.exec(age) ?? []
  return count && unit ? `${count}${unit}` : age
}

function ageAt(birthDate: string, studyDate: string): string {
  const [birth, study] = [new Date(birthDate), new Date(studyDate)]
  if (Number.isNaN(birth.getTime()) || Number.isNaN(study.getTime()) || birth > study) return ''
  const beforeBirthday = study.getMonth() < birth.getMonth() || (study.getMonth() === birth.getMonth() && study.getDate() < birth.getDate())
  return `${study.getFullYear() - birth.getFullYear() - (beforeBirthday ? 1 : 0)}Y`
}

function sexOf(sex: string): Identity['sex'] {
  if (/^(M|男)/i.test(sex)) return 'M'
  if (/^(F|女)/i.test(sex)) return 'F'
  return sex === '' ? '' : 'O'
}
