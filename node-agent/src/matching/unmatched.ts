import type { Database, Queries } from 'service-kit'
import { maskBirthDate, maskName, maskNumber, maskText, type MatchedExam, type MatchSuggestion, type StudyInstanceUid, type UnmatchedRow } from 'specs'
import type { ExamsCondition } from '../access/access-control.ts'
import type { Archive } from '../archive/archive.ts'
import type { Exam } from '../exam/exam.ts'
import { listExams, selectExams, type ExamFilter } from '../exam/store.ts'
import { LEAST_SCORE, scoreMatch } from './score.ts'

const SUGGESTIONS = 5
/** Looked at and scored; the conditions leave few in any hospital. */
const CANDIDATES = 300
const DAYS_AROUND = 7

/** Masked as every list is (SEC-06). */
export function matchedExam(exam: Exam): MatchedExam {
  const { examId, accessionNumber, patientSex, patientAge, modality, studyDate, studyTime, campus, department } = exam
  return {
    examId, accessionNumber, patientSex, patientAge, modality, studyDate, studyTime, campus, department,
    patientId: maskNumber(exam.patientId, 'L1'),
    patientName: maskName(exam.patientName, 'L1'),
    patientBirthDate: maskBirthDate(exam.patientBirthDate, 'L1'),
    description: maskText(exam.description, 'L1', exam.patientName),
  } // prettier-ignore
}

/** Registered exams without images that these images may belong to, best first. @param permitted which of them the asker may have on a list */
export async function suggestionsFor(db: Queries, images: Exam, permitted: ExamsCondition): Promise<MatchSuggestion[]> {
  const scheduled = await db.all<{ examId: string }>('SELECT exam_id AS "examId" FROM worklist_item WHERE study_instance_uid = $1 AND exam_id IS NOT NULL', [images.studyInstanceUid ?? ''])
  const isScheduled = new Set(scheduled.map(({ examId }) => examId))
  const candidates = await selectExams(db, (bind) => {
    const near = images.studyDate === '' ? '1 = 0' : `(modality = ${bind(images.modality)} AND study_date >= ${bind(around(images.studyDate, -1))} AND study_date <= ${bind(around(images.studyDate, 1))})`
    const same = [['patient_id', images.patientId], ['accession_number', images.accessionNumber], ['patient_name', images.patientName]].filter(([, value]) => value !== '') // prettier-ignore
    const wanted = [...same.map(([column, value]) => `${column} = ${bind(value ?? '')}`), ...[...isScheduled].map((examId) => `exam_id = ${bind(examId)}`), near].join(' OR ')
    return `e.study_instance_uid IS NULL AND e.origin = 'registered' AND (${wanted}) AND ${permitted('e', bind)} ORDER BY e.received_at DESC LIMIT ${CANDIDATES}`
  })
  return candidates
    // The device was told the study's UID with the worklist, whatever was typed at it.
    .map((exam) => ({ exam, ...scoreMatch(images, isScheduled.has(exam.examId) ? { ...exam, studyInstanceUid: images.studyInstanceUid } : exam) }))
    .filter(({ score }) => score >= LEAST_SCORE)
    .sort((a, b) => b.score - a.score || b.exam.receivedAt - a.exam.receivedAt)
    .slice(0, SUGGESTIONS)
    .map(({ exam, score, reasons }) => ({ exam: matchedExam(exam), score, reasons: [...reasons] }))
}

const around = (date: string, sign: 1 | -1): string => {
  const at = Date.parse(date)
  return Number.isNaN(at) ? date : new Date(at + sign * DAYS_AROUND * 86_400_000).toISOString().slice(0, 10)
}

/** 未匹配: images that belong to no registered exam and that nobody has confirmed, newest first, each with its best suggestion. */
export async function listUnmatched(
  db: Database,
  archive: Archive,
  filter: Omit<ExamFilter, 'origin' | 'permitted'>,
  permitted: ExamsCondition,
): Promise<{ rows: UnmatchedRow[]; total: number; atLeast: boolean; next: string | null }> {
  const { rows, total, atLeast } = await listExams(db, { ...filter, origin: 'images', permitted })
  const shown = await Promise.all(
    rows.flatMap((exam) => {
      const { studyInstanceUid } = exam
      return studyInstanceUid === null ? [] : [rowOf(db, archive, exam, studyInstanceUid, permitted)]
    }),
  )
  const last = rows.length === filter.limit ? rows.at(-1) : undefined
  return { rows: shown, total, atLeast, next: last ? `${last.receivedAt}_${last.examId}` : null }
}

async function rowOf(db: Database, archive: Archive, exam: Exam, studyInstanceUid: StudyInstanceUid, permitted: ExamsCondition): Promise<UnmatchedRow> {
  const [best] = await suggestionsFor(db, exam, permitted)
  const [first] = await archive.instances(studyInstanceUid, undefined, { limit: 1 })
  const { instanceCount, seriesCount, receivedAt } = exam
  return { ...matchedExam(exam), studyInstanceUid, instanceCount, seriesCount, receivedAt, source: first?.sourcePeer ?? '', best: best ?? null }
}
