import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Log } from 'service-kit'
import { isProblem, Problem, type CorrectionTarget, type EpochMs, type HospitalId, type LiveEvent, type StudyInstanceUid } from 'specs'
import type { Archive, InstanceFile, StudyRow } from '../archive/archive.ts'
import type { IndexedValues } from '../archive/attributes.ts'
import type { StandingCorrections } from '../archive/coercion/coerce.ts'
import { changedFile, type HeaderChange } from '../dicom/header-change.ts'
import { readHeader } from '../dicom/header-reading.ts'
import { findExam, findExamOfStudy } from '../exam/store.ts'
import { byTag, saysFormerValues, type Correction } from './correction.ts'
import { changesOf, headerOf, type RightfulPatient } from './header-values.ts'
import { moveBack, moveExam } from './move-exam.ts'
import { correctionsInState, correctionsOfStudy, findCorrection, saveCorrection } from './store.ts'

export interface CorrectionsParts {
  readonly db: Database
  readonly archive: Archive
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly log: Log
  readonly announce: (event: LiveEvent) => void
  /** The files of a study are others now: whoever gives pieces of it to another hospital begins anew. */
  readonly onRewritten: (study: StudyInstanceUid) => void
  readonly now?: () => EpochMs
}

interface Actor {
  readonly id: string
  readonly name: string
}

/**
 * Whole-study moves to the right exam or patient (ARC-21). A correction is noted first, then the files are rewritten, then rows, consultations and trail
 * follow in one transaction; a stop in between is taken up at the next start. Images of the study that come later are corrected on their way in.
 */
export class Corrections implements StandingCorrections {
  readonly #parts: CorrectionsParts
  readonly #now: () => EpochMs
  /** What applies to images that come now: corrections that are done or under way, by study. */
  readonly #inForce = new Map<string, Correction>()
  readonly #running = new Map<string, Promise<void>>()
  readonly #stopping = new AbortController()

  private constructor(parts: CorrectionsParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  static async open(parts: CorrectionsParts): Promise<Corrections> {
    const corrections = new Corrections(parts)
    for (const correction of await correctionsInState(parts.db, 'running', 'done')) corrections.#inForce.set(correction.studyInstanceUid, correction)
    return corrections
  }

  /** Takes up what the last stop interrupted. */
  async start(): Promise<void> {
    for (const correction of await correctionsInState(this.#parts.db, 'running', 'undoing')) this.#work(correction)
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the node stops'))
    await Promise.allSettled(this.#running.values())
  }

  /**
   * Begins to move a study. Whether the person may is asked before.
   * @throws {Problem} archive/unknown-study, exam/unknown, matching/busy, matching/nothing-to-correct
   */
  async begin(actor: Actor, studyInstanceUid: StudyInstanceUid, target: CorrectionTarget, reason: string): Promise<Correction> {
    const { db, archive } = this.#parts
    const study = await archive.study(studyInstanceUid)
    const own = await findExamOfStudy(db, studyInstanceUid)
    if (!study || !own) throw new Problem('archive/unknown-study', { studyInstanceUid })
    const header = headerOf(await this.#patientOf(target), study)
    const changes = changesOf(header, study)
    if (changes.length === 0 && (target.kind === 'patient' || target.examId === own.examId)) throw new Problem('matching/nothing-to-correct', { studyInstanceUid })
    const correction: Correction = {
      correctionId: randomUUID(), studyInstanceUid, target, state: 'running', examId: target.kind === 'exam' ? target.examId : own.examId, reason,
      actor: { id: actor.id, name: actor.name }, startedAt: this.#now(), endedAt: null, header, changes, instancesRewritten: 0, problem: null, moved: null, undone: null,
    } // prettier-ignore
    await db.write(async (tx) => {
      await this.#requireIdle(await correctionsOfStudy(tx, studyInstanceUid))
      await saveCorrection(tx, correction)
    })
    this.#inForce.set(studyInstanceUid, correction)
    this.#work(correction)
    return correction
  }

  /** @throws {Problem} request/not-found, matching/busy, matching/not-undoable */
  async undo(actor: Actor, correctionId: string, reason: string): Promise<Correction> {
    const undoing = await this.#parts.db.write(async (tx) => {
      const correction = await findCorrection(tx, correctionId)
      if (!correction) throw new Problem('request/not-found', { correctionId })
      const all = await correctionsOfStudy(tx, correction.studyInstanceUid)
      await this.#requireIdle(all)
      const latest = all.find(({ state }) => state === 'done')
      if (latest?.correctionId !== correctionId) throw new Problem('matching/not-undoable', { correctionId, state: correction.state })
      const changed: Correction = { ...correction, state: 'undoing', problem: null, undone: { by: actor.name, actorId: actor.id, at: this.#now(), reason } }
      await saveCorrection(tx, changed)
      return changed
    })
    this.#inForce.delete(undoing.studyInstanceUid)
    this.#work(undoing)
    return undoing
  }

  /** Once what is under way about a study has ended; at once when nothing is. */
  async ended(studyInstanceUid: string): Promise<void> {
    await this.#running.get(studyInstanceUid)
  }

  concern(studyInstanceUid: string): boolean {
    return this.#inForce.has(studyInstanceUid)
  }

  /** For an instance that comes later and says what the study said before. */
  valuesFor(values: IndexedValues): { readonly values: ReadonlyMap<number, string>; readonly by: string } | undefined {
    const correction = this.#inForce.get(values['studyInstanceUid'] ?? '')
    return correction && saysFormerValues(correction, values) ? { values: byTag(correction.header), by: `correction:${correction.correctionId}` } : undefined
  }

  async #requireIdle(all: readonly Correction[]): Promise<void> {
    const busy = all.find(({ state }) => state === 'running' || state === 'undoing')
    if (busy) throw new Problem('matching/busy', { correctionId: busy.correctionId })
  }

  async #patientOf(target: CorrectionTarget): Promise<RightfulPatient> {
    if (target.kind === 'patient') return target
    const exam = await findExam(this.#parts.db, target.examId)
    if (!exam) throw new Problem('exam/unknown', { examId: target.examId })
    return exam
  }

  #work(correction: Correction): void {
    const { studyInstanceUid, state } = correction
    const work = (state === 'undoing' ? this.#goBack(correction) : this.#carryOut(correction))
      .catch((error: unknown) => this.#failed(correction, error))
      .finally(() => this.#running.delete(studyInstanceUid))
    this.#running.set(studyInstanceUid, work)
  }

  async #carryOut(correction: Correction): Promise<void> {
    const { db, audit, announce, hospitalId } = this.#parts
    const { studyInstanceUid, correctionId, header, changes, reason } = correction
    const rewritten = await this.#rewrite(correction, (file) => this.#corrected(file, correction, header))
    const study = await this.#study(studyInstanceUid)
    const done = await db.write(async (tx) => {
      const { examId, moved } = await moveExam(tx, correction, study, this.#now(), hospitalId)
      const after: Correction = { ...correction, state: 'done', examId, moved, endedAt: this.#now(), instancesRewritten: correction.instancesRewritten + rewritten }
      await saveCorrection(tx, after)
      await audit.within(tx, {
        action: 'study.correct', outcome: 'success', actor: { kind: 'user', ...correction.actor }, reason,
        object: { type: 'study', id: studyInstanceUid, owner: hospitalId, patientKey: audit.patientKey(hospitalId, study.patientId) },
        before: valuesOf(changes, 'from'), after: valuesOf(changes, 'to'),
        facts: { correctionId, examId, formerExamId: moved.exam.examId, formerPatientKey: audit.patientKey(hospitalId, moved.exam.patientId), instances: after.instancesRewritten },
      }) // prettier-ignore
      return after
    })
    this.#inForce.set(studyInstanceUid, done)
    for (const examId of new Set([done.examId, done.moved?.exam.examId ?? done.examId])) announce({ type: 'exam', examId })
  }

  async #goBack(correction: Correction): Promise<void> {
    const { db, archive, audit, announce, hospitalId } = this.#parts
    const { studyInstanceUid, correctionId, changes, undone } = correction
    const former = Object.fromEntries(changes.map(({ attribute, from }) => [attribute, from]))
    const kept = new Map((await archive.replacements(studyInstanceUid)).filter(({ rewriteId }) => rewriteId === correctionId).map((row) => [row.sopInstanceUid, row]))
    const rewritten = await this.#rewrite(correction, async (file) => {
      const before = kept.get(file.row.sopInstanceUid)
      // The very file that came, unless it was replaced since or came later.
      const asItCame = before?.newSm3 === file.row.sm3 ? await archive.openReplaced(before.keptAs).catch(unlessGone) : undefined
      if (asItCame) return asItCame
      return before?.previousSm3 === file.row.sm3 ? undefined : this.#corrected(file, correction, former)
    }) // prettier-ignore
    const study = await this.#study(studyInstanceUid)
    await db.write(async (tx) => {
      const examId = await moveBack(tx, correction, study, this.#now(), hospitalId)
      await saveCorrection(tx, { ...correction, state: 'undone', endedAt: this.#now() })
      await audit.within(tx, {
        action: 'study.correct-undo', outcome: 'success', actor: { kind: 'user', id: undone?.actorId ?? '', name: undone?.by ?? '' }, reason: undone?.reason ?? '',
        object: { type: 'study', id: studyInstanceUid, owner: hospitalId, patientKey: audit.patientKey(hospitalId, study.patientId) },
        before: valuesOf(changes, 'to'), after: valuesOf(changes, 'from'), facts: { correctionId, examId, instances: rewritten },
      }) // prettier-ignore
    })
    const [earlier] = (await correctionsOfStudy(db, studyInstanceUid)).filter(({ state }) => state === 'done')
    if (earlier) this.#inForce.set(studyInstanceUid, earlier)
    for (const examId of new Set([correction.examId, correction.moved?.exam.examId ?? correction.examId])) announce({ type: 'exam', examId })
  }

  async #rewrite({ studyInstanceUid, correctionId, state, actor }: Correction, rewriteOne: (file: InstanceFile) => Promise<AsyncIterable<Uint8Array> | undefined>): Promise<number> {
    const { archive, onRewritten } = this.#parts
    const { rewritten } = await archive.rewriteStudy(
      studyInstanceUid,
      { peer: actor.name, reason: state === 'undoing' ? 'restored' : 'correction', keepPrevious: true, rewriteId: state === 'undoing' ? `${correctionId}:undo` : correctionId, signal: this.#stopping.signal },
      rewriteOne,
    )
    if (rewritten > 0) onRewritten(studyInstanceUid)
    return rewritten
  }

  async #corrected(file: InstanceFile, correction: Correction, values: Readonly<Record<string, string | undefined>>): Promise<AsyncIterable<Uint8Array> | undefined> {
    return changedFile(file, await readHeader(file), this.#change(correction, values, file.row.sourcePeer))?.content
  }

  #change({ correctionId, startedAt }: Correction, values: Readonly<Record<string, string | undefined>>, source: string): HeaderChange {
    return { values: byTag(values), reason: 'CORRECT', by: correctionId, source, at: startedAt }
  }

  async #study(studyInstanceUid: StudyInstanceUid): Promise<StudyRow> {
    const study = await this.#parts.archive.study(studyInstanceUid)
    if (!study) throw new Problem('archive/unknown-study', { studyInstanceUid })
    return study
  }

  /** Of a correction nothing has changed then: the study is rewritten as a whole or not at all. One that could not be undone is done as before. */
  async #failed(correction: Correction, error: unknown): Promise<void> {
    if (this.#stopping.signal.aborted) return // taken up at the next start
    const { db, log } = this.#parts
    const problem = isProblem(error) ? error.code : 'service/internal'
    log.error({ err: error, studyInstanceUid: correction.studyInstanceUid, correctionId: correction.correctionId }, 'study not corrected')
    if (correction.state === 'running') this.#inForce.delete(correction.studyInstanceUid)
    else this.#inForce.set(correction.studyInstanceUid, correction)
    const state = correction.state === 'running' ? 'failed' : 'done'
    await db.write((tx) => saveCorrection(tx, { ...correction, state, problem, endedAt: this.#now(), ...(state === 'done' && { undone: null }) })).catch((cause: unknown) => log.error({ err: cause }, 'correction not noted'))
  }
}

/** A former file that is not there any more: its values are put back then. */
function unlessGone(error: unknown): undefined {
  if (isProblem(error) && error.code === 'request/not-found') return undefined
  throw error
}

const valuesOf = (changes: Correction['changes'], side: 'from' | 'to'): Record<string, string> =>
  Object.fromEntries(changes.map((change) => [change.attribute, change[side]]))
