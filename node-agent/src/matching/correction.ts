import type { CorrectionState, CorrectionTarget, ExamOrigin, StudyInstanceUid, TaskId } from 'specs'
import type { ChangedValue } from '../archive/archive.ts'
import { attributeByKeyword, type IndexedValues } from '../archive/attributes.ts'
import type { Exam } from '../exam/exam.ts'
import type { CorrectedHeader } from './header-values.ts'

/** One whole-study move to another exam or patient (ARC-21): what is to be, what was, and how far it is. */
export interface Correction {
  readonly correctionId: string
  readonly studyInstanceUid: StudyInstanceUid
  readonly target: CorrectionTarget
  readonly state: CorrectionState
  /** Of the study, once it is done; before, the one it is to have. */
  readonly examId: string
  readonly reason: string
  readonly actor: { readonly id: string; readonly name: string }
  readonly startedAt: number
  readonly endedAt: number | null
  readonly header: CorrectedHeader
  /** Of the study as the index told before. */
  readonly changes: readonly ChangedValue[]
  readonly instancesRewritten: number
  readonly problem: string | null
  readonly moved: MovedExam | null
  readonly undone: { readonly by: string; readonly actorId: string; readonly at: number; readonly reason: string } | null
}

/** Rows of before that undoing puts back. */
export interface MovedExam {
  readonly exam: Exam
  readonly origin: ExamOrigin
  /** The exam's row went away, because its images went to one that was registered. */
  readonly wasRemoved: boolean
  readonly consults: readonly TaskId[]
}

const telling = ['PatientID', 'PatientName', 'AccessionNumber'] as const

/**
 * Whether an instance that comes later is one of those that were corrected: it says what the study said before, wherever it does not say already what it says
 * now. What names a third patient is left for a person to look at.
 */
export function saysFormerValues({ changes }: Pick<Correction, 'changes'>, values: IndexedValues): boolean {
  const told = telling.flatMap((keyword) => {
    const change = changes.find(({ attribute }) => attribute === keyword)
    return change ? [{ ...change, said: values[attributeByKeyword(keyword)?.member ?? ''] ?? '' }] : []
  })
  return told.every(({ from, to, said }) => said === from || said === to) && told.some(({ from, said }) => said === from)
}

/** By tag, as headers are changed. */
export const byTag = (values: Readonly<Record<string, string | undefined>>): Map<number, string> =>
  new Map(Object.entries(values).flatMap(([keyword, text]) => {
    const tag = attributeByKeyword(keyword)?.tag
    return tag === undefined || text === undefined ? [] : [[tag, text] as const]
  })) // prettier-ignore
