import type { Queries } from 'service-kit'
import type { ArchiveMonitor, ArchiveMonitorGroup, ArchiveMonitorStudy, ExamOrigin, HospitalId } from 'specs'
import type { ExamsCondition } from '../access/access-control.ts'
import type { Archive, ArrivedStudy } from '../archive/archive.ts'
import type { Exam } from '../exam/exam.ts'
import { selectExamsWithOrigin } from '../exam/store.ts'
import { listRefusals } from '../refusal/store.ts'
import { matchedExam } from './unmatched.ts'

/** More than any hospital's day; of more the newest are looked at. */
const MOST_STUDIES = 20_000
const SHOWN_STUDIES = 200
const AT_ONCE = 400

export interface MonitorQuery {
  readonly since: number
  readonly until: number
  readonly campus?: string | undefined
  readonly department?: string | undefined
  readonly modality?: string | undefined
  readonly source?: string | undefined
}

type Registered = Exam & { readonly origin: ExamOrigin }

/**
 * 归档监控 (ARC-18): what came in, registered, matched and archived, by campus, department, kind of images and sender, with what went wrong. Counts are of all
 * studies; studies themselves only those that `permitted` lets the asker have on a list, none without it.
 */
export async function readMonitor({ db, archive, hospitalId }: { db: Queries; archive: Archive; hospitalId: HospitalId }, query: MonitorQuery, permitted: ExamsCondition | undefined): Promise<ArchiveMonitor> {
  const { since, until } = query
  const arrived = (await archive.arrivals({ since, until, limit: MOST_STUDIES })).filter((study) => study.hospitalId === hospitalId)
  const exams = await examsOf(db, arrived)
  const wanted = arrived.filter((study) => isWanted(study, exams.get(study.studyInstanceUid), query))
  const visible = permitted ? await examsOf(db, wanted.slice(0, MOST_STUDIES), permitted) : new Map<string, Registered>()
  const shown = wanted.filter(({ studyInstanceUid }) => visible.has(studyInstanceUid))
  const failed = await archive.failedRegistrations()
  const refused = await listRefusals(db, { limit: 1_000 })
  const coerced = await archive.coercions({ since, until, limit: 10_000 })
  const groups = groupsOf(wanted, exams)
  return {
    groups,
    totals: {
      ...sumOf(groups),
      failed: failed.length,
      refused: refused.rows.filter(({ at }) => at >= since && at < until).reduce((sum, { count }) => sum + count, 0),
      coerced: coerced.length,
    },
    studies: shown.slice(0, SHOWN_STUDIES).flatMap((study) => rowOf(study, visible.get(study.studyInstanceUid))),
    more: shown.length > SHOWN_STUDIES,
    failed: failed.map(({ fileId, failedAt, code, title, studyInstanceUid, sizeBytes, source }) => ({ fileId, failedAt, code, title, studyInstanceUid, sizeBytes, source: source.peer })),
  }
}

async function examsOf(db: Queries, studies: readonly ArrivedStudy[], permitted?: ExamsCondition): Promise<Map<string, Registered>> {
  const found = new Map<string, Registered>()
  for (let from = 0; from < studies.length; from += AT_ONCE) {
    const uids = studies.slice(from, from + AT_ONCE).map(({ studyInstanceUid }) => studyInstanceUid)
    const rows = await selectExamsWithOrigin(db, (bind) => {
      const named = `e.study_instance_uid IN (${uids.map(bind).join(', ')})`
      return permitted ? `${named} AND ${permitted('e', bind)}` : named
    })
    for (const exam of rows) if (exam.studyInstanceUid !== null) found.set(exam.studyInstanceUid, exam)
  }
  return found
}

const modalityOf = (study: ArrivedStudy, exam: Registered | undefined): string => exam?.modality || study.modality

function isWanted(study: ArrivedStudy, exam: Registered | undefined, { campus, department, modality, source }: MonitorQuery): boolean {
  return (
    (!campus || exam?.campus === campus) &&
    (!department || exam?.department === department) &&
    (!modality || modalityOf(study, exam) === modality) &&
    (!source || study.sourcePeer.toUpperCase() === source.toUpperCase())
  )
}

const none = { studies: 0, instances: 0, sizeBytes: 0, matched: 0, unmatched: 0, duplicates: 0, missing: 0 }
type Counts = typeof none

function groupsOf(studies: readonly ArrivedStudy[], exams: ReadonlyMap<string, Registered>): ArchiveMonitorGroup[] {
  const groups = new Map<string, ArchiveMonitorGroup>()
  for (const study of studies) {
    const exam = exams.get(study.studyInstanceUid)
    const place = { campus: exam?.campus ?? '', department: exam?.department ?? '', modality: modalityOf(study, exam), source: study.sourcePeer }
    const key = JSON.stringify(Object.values(place))
    const isMatched = exam !== undefined && exam.origin !== 'images'
    groups.set(key, { ...place, ...added(groups.get(key) ?? none, {
      studies: 1, instances: study.instanceCount, sizeBytes: study.sizeBytes, matched: isMatched ? 1 : 0, unmatched: isMatched ? 0 : 1, duplicates: study.duplicateCount, missing: study.missing,
    }) }) // prettier-ignore
  }
  return [...groups.values()].sort((a, b) => b.studies - a.studies || a.source.localeCompare(b.source))
}

const added = (one: Counts, other: Counts): Counts => ({
  studies: one.studies + other.studies,
  instances: one.instances + other.instances,
  sizeBytes: one.sizeBytes + other.sizeBytes,
  matched: one.matched + other.matched,
  unmatched: one.unmatched + other.unmatched,
  duplicates: one.duplicates + other.duplicates,
  missing: one.missing + other.missing,
})
const sumOf = (groups: readonly ArchiveMonitorGroup[]): Counts => groups.reduce<Counts>(added, none)

function rowOf(study: ArrivedStudy, exam: Registered | undefined): ArchiveMonitorStudy[] {
  if (!exam) return []
  const { studyInstanceUid, sourcePeer, receivedAt, updatedAt, instanceCount, seriesCount, sizeBytes, duplicateCount, missing } = study
  return [{
    ...matchedExam(exam), studyInstanceUid, source: sourcePeer, firstAt: receivedAt, lastAt: updatedAt, instanceCount, seriesCount, sizeBytes, duplicateCount, missing,
    registered: exam.origin === 'registered', matched: exam.origin !== 'images',
  }] // prettier-ignore
}
