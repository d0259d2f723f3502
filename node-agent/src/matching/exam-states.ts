import { searchTrail, type Database, type Trail } from 'service-kit'
import type { AuditAction, AuditRow, ExamOrigin, ExamStateName, ExamStateRow, PerformedStepRow } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { consultsOfStudy } from '../consult/store.ts'
import type { Exam } from '../exam/exam.ts'
import { performedStepsOf } from '../worklist/performed-step-store.ts'
import { listItems } from '../worklist/store.ts'
import type { Correction } from './correction.ts'
import { correctionsOfStudy } from './store.ts'

/** What the parts of the node know of one exam. */
export interface ExamTraces {
  readonly exam: Exam
  readonly origin: ExamOrigin
  readonly scheduled: readonly { readonly at: number; readonly station: string; readonly due: string }[]
  readonly performed: readonly PerformedStepRow[]
  /** When the first image came and who sent it; undefined: none has come. */
  readonly arrived?: { readonly at: number; readonly source: string; readonly instances: number } | undefined
  readonly corrections: readonly Correction[]
  /** Of the trail, oldest first. */
  readonly events: readonly AuditRow[]
  /** This hospital's name. */
  readonly here: string
}

const stateOfAction: Readonly<Partial<Record<AuditAction, ExamStateName>>> = {
  'exam.register': 'registered',
  'report.write': 'reported',
  'report.review': 'signed',
  'report.issue': 'signed',
  'consult.sign': 'signed',
  'study.archive': 'archived',
  'study.store': 'archived',
  'study.confirm': 'matched',
  'study.delete': 'deleted',
  'exam.delete': 'deleted',
  'image.view': 'viewed',
  'transfer.send': 'sent',
  'transfer.forward': 'sent',
  'image.export': 'exported',
}
export const tracedActions = [...(Object.keys(stateOfAction) as AuditAction[]), 'exam.change' as const]

/** 检查关键状态 (ARC-27), in the order of time: each with when, who and in which system. Only what somebody or something has noted is told, nothing is guessed. */
export function statesOf({ exam, origin, scheduled, performed, arrived, corrections, events, here }: ExamTraces): ExamStateRow[] {
  const rows: ExamStateRow[] = []
  const add = (state: ExamStateName, at: number, actor: string, system: string, detail = '', count = 1) => void rows.push({ state, at, actor, system, detail, count })
  const isRegistered = origin === 'registered'
  if (isRegistered && (exam.requestingDepartment !== '' || exam.requestingPhysician !== ''))
    add('requested', exam.studyInstanceUid === null || !arrived ? exam.receivedAt : Math.min(exam.receivedAt, arrived.at), exam.requestingPhysician, exam.requestingDepartment)
  if (isRegistered && !events.some(({ action }) => action === 'exam.register')) add('registered', exam.receivedAt, '', here)
  for (const { at, station, due } of scheduled) add('scheduled', at, '', station, due)
  for (const step of performed) {
    const [begun, ended] = [localTime(step.startedAt), localTime(step.endedAt)]
    if (begun !== undefined || ended !== undefined) add('acquired', ended ?? begun ?? 0, step.stationAeTitle, step.callingAeTitle, step.state, step.instanceCount)
  }
  const taken = localTime(`${exam.studyDate.replaceAll('-', '')} ${exam.studyTime.replaceAll(':', '')}`)
  if (performed.length === 0 && arrived && taken !== undefined) add('acquired', taken, '', arrived.source, 'image-header', arrived.instances)
  if (arrived) add('arrived', arrived.at, arrived.source, here, '', arrived.instances)
  for (const { state, endedAt, actor, reason, target } of corrections)
    if (endedAt !== null && state === 'done') {
      add('corrected', endedAt, actor.name, here, reason)
      if (target.kind === 'exam') add('matched', endedAt, actor.name, here, reason)
    }
  const byHand = corrections.some(({ state, target }) => state === 'done' && target.kind === 'exam')
  if (isRegistered && arrived && !byHand) add('matched', Math.max(arrived.at, registeredAt(events) ?? arrived.at), '', here, 'accession-and-patient')
  for (const event of events) {
    const state = event.action === 'exam.change' ? (changesReport(event) ? 'reported' : undefined) : stateOfAction[event.action]
    if (state) add(state, event.at, event.actor.name ?? event.actor.id, systemOf(event, here), '', event.count ?? 1)
  }
  return rows.sort((a, b) => a.at - b.at || order.indexOf(a.state) - order.indexOf(b.state))
}

const order: readonly ExamStateName[] = ['requested', 'registered', 'scheduled', 'acquired', 'arrived', 'matched', 'archived', 'corrected', 'reported', 'signed', 'viewed', 'sent', 'exported', 'deleted']

const registeredAt = (events: readonly AuditRow[]): number | undefined => events.find(({ action }) => action === 'exam.register')?.at

/** The hospital's own report stands in fields of the exam. */
function changesReport({ after }: AuditRow): boolean {
  return typeof after === 'object' && after !== null && ('reportFindings' in after || 'reportImpression' in after)
}

function systemOf({ facts = {}, actor }: AuditRow, here: string): string {
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
  return text(facts['destination']) ?? text(facts['source']) ?? actor.hospitalId ?? actor.sourceIp ?? here
}

/** `YYYYMMDD HHMMSS` by the hospital's clock, as devices tell it. */
function localTime(text: string): number | undefined {
  const match = /^(\d{4})(\d{2})(\d{2}) ?(\d{2})?(\d{2})?(\d{2})?/.exec(text)
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0))
  return new Date(year ?? 0, (month ?? 1) - 1, day, hour, minute, second).getTime()
}

export interface TracesParts {
  readonly db: Database
  readonly archive: Archive
  readonly trail: Trail
  readonly hospitalName: () => string
}

/** Gathers them. Reads only. */
export async function tracesOf({ db, archive, trail, hospitalName }: TracesParts, exam: Exam, origin: ExamOrigin): Promise<ExamTraces> {
  const study = exam.studyInstanceUid
  const [consults, items, performed, kept, instances] = [
    study === null ? [] : await consultsOfStudy(db, study),
    await listItems(db, { examId: exam.examId, limit: 50 }),
    await performedStepsOf(db, { study: study ?? undefined, examId: exam.examId }),
    study === null ? undefined : await archive.study(study),
    study === null ? [] : await archive.instances(study, undefined, { limit: 1 }),
  ]
  const objects = [exam.examId, ...(study === null ? [] : [study]), ...consults.map(({ taskId }) => taskId)]
  const pages = await Promise.all(objects.map((objectId) => searchTrail(trail.db, { objectId, action: tracedActions }, { limit: 500 })))
  return {
    exam, origin, performed,
    scheduled: items.map(({ createdAt, scheduledStationAeTitle, startDate, startTime }) => ({ at: createdAt, station: scheduledStationAeTitle, due: `${startDate} ${startTime}` })),
    arrived: kept && { at: kept.receivedAt, source: instances[0]?.sourcePeer ?? '', instances: kept.instanceCount },
    corrections: study === null ? [] : await correctionsOfStudy(db, study),
    events: pages.flatMap(({ rows }) => rows).sort((a, b) => a.at - b.at),
    here: hospitalName(),
  } // prettier-ignore
}
