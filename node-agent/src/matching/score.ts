import { pinyin } from 'pinyin-pro'
import type { MatchReason } from 'specs'

/** What two sides of a match are compared by. Dates are ISO or '', names as displayed. */
export interface Comparable {
  readonly studyInstanceUid: string | null
  readonly accessionNumber: string
  readonly patientId: string
  readonly patientName: string
  readonly patientSex: string
  readonly patientBirthDate: string
  readonly modality: string
  readonly studyDate: string
}

export interface Score {
  /** 0 to 100. */
  readonly score: number
  readonly reasons: readonly MatchReason[]
}

/** How much each reason counts; what differs where both sides say something counts against. */
const weight: Readonly<Record<MatchReason, number>> = {
  'study-uid': 100,
  'patient-id': 40,
  'patient-id-form': 32,
  accession: 40,
  'accession-form': 32,
  'accession-near': 18,
  name: 22,
  'name-reading': 16,
  'birth-date': 12,
  modality: 6,
  'same-day': 8,
  'near-day': 4,
  'sex-differs': -15,
  'birth-date-differs': -12,
  'modality-differs': -20,
}
/** Lower ones are no suggestion: a modality on a day is nobody's name. */
export const LEAST_SCORE = 25
const NEAR_DAYS = 7

/** How likely the images of one side are the exam of the other, and why (ARC-11). */
export function scoreMatch(images: Comparable, exam: Comparable): Score {
  const reasons = [
    images.studyInstanceUid !== null && images.studyInstanceUid === exam.studyInstanceUid ? ('study-uid' as const) : undefined,
    sameNumber('patient-id', images.patientId, exam.patientId),
    sameNumber('accession', images.accessionNumber, exam.accessionNumber) ?? nearNumber(images.accessionNumber, exam.accessionNumber),
    sameName(images.patientName, exam.patientName),
    both(images.patientBirthDate, exam.patientBirthDate) && (images.patientBirthDate === exam.patientBirthDate ? 'birth-date' : 'birth-date-differs'),
    both(images.patientSex, exam.patientSex) && images.patientSex !== exam.patientSex && 'sex-differs',
    both(images.modality, exam.modality) && (images.modality === exam.modality ? 'modality' : 'modality-differs'),
    nearness(images.studyDate, exam.studyDate),
  ].filter((reason): reason is MatchReason => typeof reason === 'string')
  const score = reasons.reduce((sum, reason) => sum + weight[reason], 0)
  return { score: Math.max(0, Math.min(100, score)), reasons }
}

const both = (one: string, other: string): boolean => one !== '' && other !== ''

function sameNumber<K extends 'patient-id' | 'accession'>(kind: K, one: string, other: string): K | `${K}-form` | undefined {
  if (!both(one, other)) return undefined
  if (one === other) return kind
  return plainNumber(one) === plainNumber(other) && plainNumber(one) !== '' ? `${kind}-form` : undefined
}

/** As people type numbers: spaces, dashes, case and leading zeros mean nothing. */
export const plainNumber = (text: string): string => text.normalize('NFKC').toUpperCase().replaceAll(/[^\p{L}\p{N}]/gu, '').replace(/^0+/, '') // prettier-ignore

/** One wrong, missing or exchanged character in a number of at least five. */
function nearNumber(one: string, other: string): 'accession-near' | undefined {
  const [a, b] = [plainNumber(one), plainNumber(other)]
  return Math.min(a.length, b.length) >= 5 && distanceOf(a, b) === 1 ? 'accession-near' : undefined
}

/** Edit distance with exchanged neighbours counting as one; 2 stands for every larger one. */
export function distanceOf(a: string, b: string): number {
  if (a === b) return 0
  if (Math.abs(a.length - b.length) > 1) return 2
  let from = 0
  while (a[from] === b[from]) from += 1
  let [endA, endB] = [a.length, b.length]
  while (endA > from && endB > from && a[endA - 1] === b[endB - 1]) [endA, endB] = [endA - 1, endB - 1]
  const [restA, restB] = [a.slice(from, endA), b.slice(from, endB)]
  const isExchanged = restA.length === 2 && restB.length === 2 && restA[0] === restB[1] && restA[1] === restB[0]
  return (restA.length <= 1 && restB.length <= 1) || isExchanged ? 1 : 2
}

const folded = (name: string): string => name.normalize('NFKC').toLowerCase().replaceAll(/[\s^,.·'-]+/gu, '')
const reading = (name: string): string => folded(/\p{Script=Han}/u.test(name) ? pinyin(name, { toneType: 'none', surname: 'head', type: 'array' }).join('') : name).replaceAll('ü', 'v')

/** 张三 is Zhang San and San Zhang, in whichever way a device writes it. */
function sameName(one: string, other: string): 'name' | 'name-reading' | undefined {
  if (!both(folded(one), folded(other))) return undefined
  if (folded(one) === folded(other)) return 'name'
  const turned = (name: string) => folded(name.split(/[\s^,]+/).reverse().join('')) // prettier-ignore
  return reading(one) === reading(other) || reading(turned(one)) === reading(other) || reading(one) === reading(turned(other)) ? 'name-reading' : undefined
}

function nearness(one: string, other: string): 'same-day' | 'near-day' | undefined {
  if (!both(one, other)) return undefined
  const days = Math.abs(Date.parse(one) - Date.parse(other)) / 86_400_000
  return days === 0 ? 'same-day' : days <= NEAR_DAYS ? 'near-day' : undefined
}
