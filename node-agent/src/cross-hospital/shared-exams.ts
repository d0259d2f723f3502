import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { signDocument } from 'pki'
import type { AuditTrail, Database, Log } from 'service-kit'
import {
  ExamSearch,
  GrantAsk,
  GrantId,
  HospitalId,
  parseWith,
  Problem,
  services,
  type Authorisation,
  type EpochMs,
  type ExamSearchAnswer,
  type FoundExam,
  type Grant,
  type GrantGiven,
  type IdentityAssertion,
  type LiveEvent,
  type PartyId,
  type TaskId,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { isEntrustedTo } from '../access/decide-access.ts'
import { rememberGrant } from '../access/grant-store.ts'
import type { TaskView } from '../access/task-view.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import { actorElsewhere } from '../audit/actor-elsewhere.ts'
import { snapshotOf } from '../exam/exam.ts'
import { findExam, findExamOfStudy } from '../exam/store.ts'
import { authorisationsFor } from '../grant/authorisation-store.ts'
import type { Consents } from '../grant/consents.ts'
import type { Sealing } from '../patient/contact.ts'
import type { Region } from '../region/region.ts'
import { examsOfPatients, matchPatients, type MatchedExam } from './match.ts'
import { SearchLimit } from './search-limit.ts'

export interface SharedExamsParts {
  readonly db: Database
  readonly log: Log
  readonly vault: Sealing
  readonly region: Region
  readonly access: AccessControl
  readonly assertions: AssertionDesk
  readonly consents: Consents
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly tasksOfStudy: (study: string) => Promise<readonly TaskView[]>
  readonly settings: { readonly grantMinutes: number; readonly unseen: 'untold' | 'told'; readonly searchesPerHour: number; readonly hospitalSearchesPerHour: number }
  readonly announce: (event: LiveEvent) => void
  readonly now: () => EpochMs
}

/** An answer takes at least this long, so that its time does not tell whether the patient is known here. */
const ANSWER_FLOOR_MS = 250
/** Clocks of two hospitals differ; a grant made here must not be "not yet valid" there. */
const CLOCK_SKEW_MS = 5 * 60_000

/** The owner's side of cross-hospital retrieval: other hospitals' people ask, the one decision answers, both is in the trail. */
export class SharedExams {
  readonly #parts: SharedExamsParts
  readonly #limit: SearchLimit
  readonly #hospitalLimit: SearchLimit

  constructor(parts: SharedExamsParts) {
    this.#parts = parts
    this.#limit = new SearchLimit(parts.settings.searchesPerHour)
    this.#hospitalLimit = new SearchLimit(parts.settings.hospitalSearchesPerHour)
    const { line } = parts.region
    line.serve(services.examSearch, async ({ from, body }) => {
      // A refusal takes as long as an answer.
      const [answer] = await Promise.allSettled([this.#search(from, body), sleep(ANSWER_FLOOR_MS)])
      if (answer.status === 'rejected') throw answer.reason
      return answer.value
    })
    line.serve(services.grantAsk, ({ from, body }) => this.#ask(from, body))
  }

  async #search(from: PartyId, body: unknown): Promise<ExamSearchAnswer> {
    const { db, vault, assertions, consents, now } = this.#parts
    const asker = parseWith(HospitalId, from, 'sender')
    const search = parseWith(ExamSearch, body, services.examSearch)
    const asserted = await this.#admitted(asker, services.examSearch, () => assertions.admit(search.assertion, { from: asker, service: services.examSearch, needs: ['region.search'] }))
    if (asserted.purpose !== search.purpose) throw new Problem('access/assertion-invalid', { reason: 'purpose' })
    this.#limit.count(`${asker} ${asserted.person.userId}`, now())
    // A node in wrong hands asserts as many people as it likes.
    this.#hospitalLimit.count(asker, now())
    const patientIds = await matchPatients(db, vault, search.patient)
    if (search.code !== undefined) await consents.redeem(search.code, patientIds, asker, asserted)
    await consents.takeStatements(search.consents, patientIds, asker)
    const authorisations = await authorisationsFor(db, patientIds, now())
    const rows: FoundExam[] = []
    let kept = 0
    for (const exam of await examsOfPatients(db, patientIds)) {
      const row = await this.#found(exam, asker, asserted, authorisations)
      if (row) rows.push(row)
      else kept += 1
    }
    await this.#tellSearch(asker, asserted, patientIds, rows, kept)
    return { rows, unseen: this.#parts.settings.unseen === 'untold' ? 'untold' : kept > 0 ? 'some' : 'none' }
  }

  async #found(exam: MatchedExam, asker: HospitalId, { person, purpose }: IdentityAssertion, authorisations: readonly Authorisation[]): Promise<FoundExam | undefined> {
    const { db, access, hospitalId } = this.#parts
    const { study, studyDate } = exam
    const asked = { owner: hospitalId, study, studyDate, kept: 'in-hospital' } as const
    const decision = await access.decideShared({ hospitalId: asker, person, purpose, authorisations }, 'list', asked)
    const task = decision.allowed ? undefined : await this.#taskWith(asker, study)
    if (!decision.allowed && task === undefined) return undefined
    const whole = await findExam(db, exam.examId)
    if (!whole) return undefined
    const { patient, accessionNumber, modality, bodyPart, description, studyTime } = snapshotOf(whole, hospitalId)
    const hasReport = whole.reportFindings !== '' || whole.reportImpression !== ''
    const authorisation = decision.allowed ? decision.authorisation : undefined
    return {
      studyInstanceUid: study,
      accessionNumber,
      patient,
      modality,
      bodyPart,
      description,
      studyDate,
      studyTime,
      instanceCount: whole.instanceCount,
      hasReport,
      because: authorisation?.kind ?? 'task',
      until: authorisation?.expires ?? null,
    }
  }

  /** Entrusted to the asking hospital by a consultation: it is opened there. */
  async #taskWith(asker: HospitalId, study: string): Promise<TaskId | undefined> {
    const { tasksOfStudy, hospitalId } = this.#parts
    return (await tasksOfStudy(study)).find((task) => task.submitter === hospitalId && isEntrustedTo(task, asker))?.taskId
  }

  async #ask(from: PartyId, body: unknown): Promise<GrantGiven> {
    const { db, region, access, assertions, audit, hospitalId, now, settings, announce } = this.#parts
    const asker = parseWith(HospitalId, from, 'sender')
    const { studyInstanceUid: study, purpose, assertion } = parseWith(GrantAsk, body, services.grantAsk)
    const asserted = await this.#admitted(asker, services.grantAsk, () => assertions.admit(assertion, { from: asker, service: services.grantAsk, study, needs: ['region.search'] }))
    if (asserted.purpose !== purpose) throw new Problem('access/assertion-invalid', { reason: 'purpose' })
    const { person } = asserted
    const exam = await findExamOfStudy(db, study)
    const authorisations = exam ? await authorisationsFor(db, [exam.patientId], now()) : []
    const decision = await access.decideShared({ hospitalId: asker, person, purpose, authorisations }, 'read', { owner: hospitalId, study, studyDate: exam?.studyDate, kept: 'in-hospital' })
    // Whatever the reason: who asks is told the same, also of a study that there is not.
    if (!decision.allowed || !exam || !decision.authorisation) throw new Problem('access/no-authorisation')
    const { authorisationId, kind, expires } = decision.authorisation
    const at = now()
    const grant: Grant = {
      grantId: GrantId.parse(randomUUID()),
      owner: hospitalId,
      grantees: [asker],
      studyInstanceUids: [study],
      purpose,
      notBefore: at - CLOCK_SKEW_MS,
      expires: Math.min(at + settings.grantMinutes * 60_000, expires),
      kind,
      authorisationId,
      person: person.userId,
    }
    const signed = { grant, ...signDocument(region.identity, grant) }
    await db.write(async (tx) => {
      await rememberGrant(tx, signed, exam.regionId, at, `${person.name} ${person.title}`.trim())
      await audit.within(tx, {
        action: 'grant.issue', outcome: 'success', basis: kind, purpose,
        actor: actorElsewhere(asker, person),
        ...(asserted.reason !== undefined && { reason: asserted.reason }),
        object: { type: 'study', id: study, owner: hospitalId, ...(exam.patientId !== '' && { patientKey: audit.patientKey(hospitalId, exam.patientId) }) },
        facts: { authorisationId, grantId: grant.grantId, expires: grant.expires },
      }) // prettier-ignore
      tx.afterCommit(() => announce({ type: 'grant', grantId: grant.grantId, studyInstanceUids: [study], state: 'given' }))
    })
    return { grant: signed, exam: snapshotOf(exam, hospitalId), until: expires }
  }

  /** A forged, old or repeated assertion is an attempt that the trail keeps. */
  async #admitted(asker: HospitalId, service: string, admit: () => Promise<IdentityAssertion>): Promise<IdentityAssertion> {
    try {
      return await admit()
    } catch (error) {
      if (error instanceof Problem) {
        const { code, facts } = error
        this.#parts.audit.note({ action: 'access.refused', outcome: 'refused', code, actor: { kind: 'hospital', id: asker, hospitalId: asker }, object: { type: 'route', id: service }, facts: { ...facts } })
      }
      throw error
    }
  }

  async #tellSearch(asker: HospitalId, { person, purpose, reason }: IdentityAssertion, patientIds: readonly string[], rows: readonly FoundExam[], kept: number): Promise<void> {
    const { audit, hospitalId } = this.#parts
    const event = { action: 'region.search', actor: actorElsewhere(asker, person), purpose, ...(reason !== undefined && { reason }) } as const
    const facts = { found: rows.length, notAuthorised: kept }
    if (patientIds.length === 0) return audit.record({ ...event, outcome: 'success', object: { type: 'patient', id: 'unknown', owner: hospitalId }, facts })
    for (const patientId of patientIds) {
      const object = { type: 'patient', id: '*', owner: hospitalId, patientKey: audit.patientKey(hospitalId, patientId) } as const
      const isRefused = rows.length === 0 && kept > 0
      await audit.record({ ...event, object, facts, ...(isRefused ? ({ outcome: 'refused', code: 'access/no-authorisation' } as const) : ({ outcome: 'success' } as const)) })
    }
  }
}
