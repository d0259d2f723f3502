import type { PriorSelection } from 'specs'
import { bodyRegionsOf, isSameRegion } from './body-region.ts'

/** A study of the patient that might be worth comparing with. */
export interface PriorCandidate {
  readonly studyInstanceUid: string
  /** YYYYMMDD, '' unknown. */
  readonly date: string
  readonly modalities: readonly string[]
  readonly bodyPartTexts: readonly string[]
}

export interface NewExam {
  readonly studyInstanceUid: string | null
  readonly date: string
  readonly modalities: readonly string[]
  readonly bodyPartTexts: readonly string[]
}

/** Modalities that accompany images of others and say nothing by themselves. */
const accompanying = new Set(['KO', 'SR', 'PR', 'DOC', 'REG'])

/**
 * The earlier studies worth having beside a new exam, newest first (ARC-17).
 * @param today YYYYMMDD: the date of an exam that does not tell its own.
 */
export function choosePriors(exam: NewExam, candidates: readonly PriorCandidate[], select: PriorSelection, today: string): PriorCandidate[] {
  const date = exam.date || today
  const oldest = yearsBefore(date, select.maxYears)
  const shows = bodyRegionsOf(exam.bodyPartTexts)
  const wanted = comparable(exam.modalities, select.modalityMap)
  const isWorthIt = (prior: PriorCandidate): boolean => {
    if (prior.studyInstanceUid === exam.studyInstanceUid) return false
    if (prior.date !== '' && (prior.date > date || prior.date < oldest)) return false
    // Many an older archive does not tell the modalities of its studies.
    if (wanted !== undefined && prior.modalities.length > 0 && !prior.modalities.some((modality) => wanted.has(modality))) return false
    if (!select.sameBodyPart) return true
    return isSameRegion(shows, bodyRegionsOf(prior.bodyPartTexts)) ?? select.unknownBodyPart
  }
  const newestFirst = (a: PriorCandidate, b: PriorCandidate) => (a.date === b.date ? (a.studyInstanceUid < b.studyInstanceUid ? -1 : 1) : a.date < b.date ? 1 : -1)
  return candidates.filter(isWorthIt).sort(newestFirst).slice(0, select.maxStudies)
}

/** Modalities to compare with; undefined where the new exam does not say its own. */
function comparable(modalities: readonly string[], map: PriorSelection['modalityMap']): ReadonlySet<string> | undefined {
  const own = modalities.filter((modality) => modality !== '' && !accompanying.has(modality))
  return own.length === 0 ? undefined : new Set(own.flatMap((modality) => map[modality] ?? [modality]))
}

/** 29 February becomes 1 March's eve: texts compare as dates do. */
const yearsBefore = (date: string, years: number): string => `${String(Number(date.slice(0, 4)) - years).padStart(4, '0')}${date.slice(4)}`
