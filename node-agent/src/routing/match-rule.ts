import type { RoutingCondition, RoutingEvent } from 'specs'
import { bodyRegionsOf, isSameRegion } from './body-region.ts'

/** What is known of a study, or of an exam that has no images yet, when rules are asked about it. */
export interface RoutingSubject {
  readonly event: RoutingEvent
  readonly examId: string | null
  readonly studyInstanceUid: string | null
  readonly patientId: string
  /** AE titles that sent images of it; none for what came another way. */
  readonly sources: readonly string[]
  /** Whether images came that were not here before; false: known ones came again, changed. */
  readonly hasNew: boolean
  readonly modalities: readonly string[]
  /** Body part and description as the register and the images have them. */
  readonly bodyPartTexts: readonly string[]
  readonly campus: string
  readonly department: string
  readonly accessionNumber: string
  /** YYYYMMDD, '' unknown. */
  readonly date: string
}

/** @returns the first condition that does not hold; undefined when all do. */
export function whyNotMatched(when: RoutingCondition, subject: RoutingSubject): keyof RoutingCondition | undefined {
  const names = (wanted: readonly string[], has: readonly string[]) => wanted.length === 0 || has.some((one) => wanted.includes(one))
  if (!names(when.callingAeTitles, subject.sources)) return 'callingAeTitles'
  if (!names(when.modalities, subject.modalities)) return 'modalities'
  if (!names(when.campuses, [subject.campus])) return 'campuses'
  if (!names(when.departments, [subject.department])) return 'departments'
  if (when.bodyParts.length > 0 && !when.bodyParts.some((part) => isBodyPart(part, subject.bodyPartTexts))) return 'bodyParts'
  if (when.accessionPattern !== '' && !patternOf(when.accessionPattern).test(subject.accessionNumber)) return 'accessionPattern'
  return undefined
}

function isBodyPart(wanted: string, texts: readonly string[]): boolean {
  if (texts.some((text) => text.toLowerCase().includes(wanted.toLowerCase()))) return true
  return isSameRegion(bodyRegionsOf([wanted]), bodyRegionsOf(texts)) === true
}

/** `*` stands for anything, `?` for one character (PS3.4 C.2.2.2.4). */
function patternOf(pattern: string): RegExp {
  const source = [...pattern].map((sign) => (sign === '*' ? '.*' : sign === '?' ? '.' : sign.replace(/[\\^$.|+()[\]{}]/, '\\$&'))).join('')
  return new RegExp(`^${source}$`, 'i')
}

/** Where it may go: never back to who sent it (a loop). */
export function withoutSenders<T extends { readonly aeTitle: string }>(nodes: readonly T[], sources: readonly string[]): { to: T[]; back: T[] } {
  const isSender = ({ aeTitle }: T) => sources.includes(aeTitle)
  return { to: nodes.filter((node) => !isSender(node)), back: nodes.filter(isSender) }
}
