import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from 'service-kit'
import type { EpochMs } from 'specs'
import type { Archive } from '../../archive/archive.ts'
import { choosePriors } from '../../routing/priors.ts'
import { localDate } from '../../routing/router.ts'
import { isOpen } from '../../schedule/time-window.ts'
import { isSelected, patientQuestion, studyQuestions } from './asking.ts'
import { fetchStudy } from './fetch-study.ts'
import type { ListedStudy, Source } from './source.ts'
import { addStudies, changeRun, changeStudy, type FoundStudy, type KeptRun, type KeptStudy, studiesToFetch, wasProvedComplete } from './store.ts'

export interface RunOnceParts {
  readonly db: Database
  readonly archive: Archive
  readonly source: Source
  readonly run: KeptRun
  readonly signal: AbortSignal
  readonly now: () => EpochMs
  readonly onChange: () => void
}

export type RunOutcome = 'complete' | 'partial' | 'failed' | 'window-closed'

/** One run from where it is to its end, or to where it has to stop; everything that it learns is written down before it goes on. */
export class RunOnce {
  readonly #parts: RunOnceParts

  constructor(parts: RunOnceParts) {
    this.#parts = parts
  }

  /** @throws {Problem} when the source cannot be asked. */
  async run(): Promise<RunOutcome> {
    const { db, run, onChange } = this.#parts
    if (!(await this.#isAsked())) {
      await changeRun(db, run.id, { state: 'asking', nextAt: null, problem: null })
      onChange()
      await this.#ask()
    }
    await changeRun(db, run.id, { state: 'fetching', nextAt: null, problem: null })
    onChange()
    return this.#fetchAll()
  }

  async #isAsked(): Promise<boolean> {
    const row = await this.#parts.db.get<{ asked: number }>(`SELECT COUNT(*) AS "asked" FROM acquisition_study WHERE run_id = $1`, [this.#parts.run.id])
    return (row?.asked ?? 0) > 0
  }

  /** Finds what there is to fetch, in one transaction: half a list is none. */
  async #ask(): Promise<void> {
    const { db, run, now } = this.#parts
    const { found, truncated } = run.wants ? await this.#priors(run.wants) : await this.#selected()
    await db.write(async (tx) => {
      await addStudies(tx, run.id, found, now())
      await changeRun(tx, run.id, { state: 'fetching', truncated })
    })
  }

  async #selected(): Promise<{ found: FoundStudy[]; truncated: boolean }> {
    const { source, run, now } = this.#parts
    const { selection, maxStudies } = run.job
    const found = new Map<string, FoundStudy>()
    for (const question of studyQuestions(selection, new Date(now())))
      for await (const study of source.studies(question)) {
        if (found.has(study.studyInstanceUid) || !isSelected(study.answer, selection)) continue
        if (found.size >= maxStudies) return { found: [...found.values()], truncated: true }
        found.set(study.studyInstanceUid, foundStudy(study))
      }
    if (selection.stationName === '') return { found: [...found.values()], truncated: false }
    const ofStation: FoundStudy[] = []
    for (const study of found.values()) if (await source.isOfStation(study, selection.stationName)) ofStation.push(study)
    return { found: ofStation, truncated: false }
  }

  async #priors({ subject, select }: NonNullable<KeptRun['wants']>): Promise<{ found: FoundStudy[]; truncated: boolean }> {
    if (subject.patientId === '') return { found: [], truncated: false } // nobody's studies are everybody's
    const listed: ListedStudy[] = []
    for await (const study of this.#parts.source.studies(patientQuestion(subject.patientId))) if (study.patientId === subject.patientId) listed.push(study)
    const candidates = listed.map(({ studyInstanceUid, answer }) => ({
      studyInstanceUid,
      date: answer['StudyDate'] ?? '',
      modalities: values(answer['ModalitiesInStudy']),
      bodyPartTexts: [answer['BodyPartExamined'] ?? '', answer['StudyDescription'] ?? ''],
    }))
    const chosen = new Set(choosePriors(subject, candidates, select, localDate(this.#parts.now())).map(({ studyInstanceUid }) => studyInstanceUid))
    return { found: listed.filter(({ studyInstanceUid }) => chosen.has(studyInstanceUid)).map(foundStudy), truncated: false }
  }

  async #fetchAll(): Promise<RunOutcome> {
    const { db, run, signal, now } = this.#parts
    const waiting = (await studiesToFetch(db, run.id)).reverse()
    let isClosed = false
    const worker = async () => {
      for (let study = waiting.pop(); study !== undefined && !signal.aborted; study = waiting.pop()) {
        if (!isOpen(run.job.windows, now())) {
          isClosed = true
          return
        }
        await this.#fetchOne(study)
        if (run.job.pauseSeconds > 0 && waiting.length > 0) await delay(run.job.pauseSeconds * 1_000, undefined, { signal }).catch(() => undefined)
      }
    }
    const ends = await Promise.allSettled(Array.from({ length: run.job.parallel }, worker))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
    return isClosed ? 'window-closed' : this.#outcome()
  }

  async #fetchOne({ studyInstanceUid, patientId, toldInstances, attempts: before }: KeptStudy): Promise<void> {
    const { db, archive, source, run, signal, now, onChange } = this.#parts
    if (toldInstances !== null && (await this.#isKnownComplete(studyInstanceUid, toldInstances))) {
      await changeStudy(db, run.id, studyInstanceUid, { state: 'complete', proof: 'count', expected: toldInstances, heldBefore: toldInstances, held: toldInstances, missing: [], problem: null }, now())
      onChange()
      return
    }
    const fetched = await fetchStudy(source, archive, { studyInstanceUid, patientId, toldInstances }, {
      retries: run.job.retries,
      signal,
      onProgress: async (lack, heldBefore, attempts) => {
        // What an interrupted attempt has brought was not here before this run.
        await changeStudy(db, run.id, studyInstanceUid, { state: 'fetching', expected: lack.expected, held: lack.held, attempts: before + attempts, missing: lack.missing, ...(before === 0 && { heldBefore }) }, now())
        onChange()
      },
    })
    if (signal.aborted) return // goes on at the next start, or stays cancelled
    const { outcome, proof, lack, attempts, problem } = fetched
    await changeStudy(db, run.id, studyInstanceUid, { state: outcome, proof, expected: lack.expected, held: lack.held, attempts: before + attempts, missing: lack.missing, problem }, now())
    onChange()
  }

  /** Fetched whole before, the source still tells the same number, and we still hold it: it is not asked again. */
  async #isKnownComplete(studyInstanceUid: string, told: number): Promise<boolean> {
    const { db, archive, run } = this.#parts
    const here = await archive.study(studyInstanceUid as Parameters<Archive['study']>[0])
    return here !== undefined && here.instanceCount >= told && (await wasProvedComplete(db, run.nodeId, studyInstanceUid, told))
  }

  async #outcome(): Promise<RunOutcome> {
    const rows = await this.#parts.db.all<{ state: string; count: number }>('SELECT state, COUNT(*) AS "count" FROM acquisition_study WHERE run_id = $1 GROUP BY state', [this.#parts.run.id])
    const has = (state: string) => rows.some((row) => row.state === state)
    if (!has('partial') && !has('failed')) return 'complete'
    return has('complete') || has('partial') ? 'partial' : 'failed'
  }
}

function foundStudy({ studyInstanceUid, patientId, answer }: ListedStudy): FoundStudy {
  const told = Number.parseInt(answer['NumberOfStudyRelatedInstances'] ?? '', 10)
  return { studyInstanceUid, patientId, studyDate: answer['StudyDate'] ?? '', modalities: answer['ModalitiesInStudy'] ?? '', toldInstances: Number.isNaN(told) ? null : told }
}

const values = (text = ''): string[] => text.split('\\').map((value) => value.trim()).filter((value) => value !== '') // prettier-ignore
