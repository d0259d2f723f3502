import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Log, User } from 'service-kit'
import {
  answers,
  ExamSearchAnswer,
  isProblem,
  isProblemCode,
  parseWith,
  Problem,
  services,
  type AskedHospital,
  type AssertedPerson,
  type CrossExamRow,
  type CrossSearch,
  type DirectoryEntry,
  type EpochMs,
  type FoundExam,
  type HospitalId,
  type PatientIdentity,
  type SearchPurpose,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { assertedPersonOf, type Assert } from '../assertion/assert.ts'
import { snapshotOf } from '../exam/exam.ts'
import { findExam } from '../exam/store.ts'
import { issuerOf } from '../grant/consent-code.ts'
import type { Consents } from '../grant/consents.ts'
import { maskSnapshot } from '../patient/masked.ts'
import type { Sealing } from '../patient/contact.ts'
import type { Region } from '../region/region.ts'
import { examsOfPatients, matchPatients } from './match.ts'

/** A search and what it found are remembered for as long as somebody works with it, in memory only. */
const KEPT_MS = 30 * 60_000
const MOST_KEPT = 500

/** As a person has asked; only that person sees the answers. */
export interface RunningSearch {
  readonly searchId: string
  readonly userId: string
  readonly person: AssertedPerson
  readonly purpose: SearchPurpose
  readonly reason: string
  readonly startedAt: EpochMs
  readonly hospitals: Map<HospitalId, AskedHospital>
  rows: CrossExamRow[]
}

export interface SearchesParts {
  readonly db: Database
  readonly log: Log
  readonly vault: Sealing
  readonly region: Region
  readonly access: AccessControl
  readonly assert: Assert
  readonly consents: Consents
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  readonly settings: { readonly answerWaitMs: number }
  /** Tells the person that more has come. */
  readonly changed: (search: RunningSearch) => void
  readonly now: () => EpochMs
}

export interface SearchWish {
  readonly patient: PatientIdentity
  readonly purpose: SearchPurpose
  readonly reason: string
  readonly code?: string | undefined
}

/** The asking side: every hospital of the region is asked at once, each answers for itself, and nobody waits for the slowest. */
export class Searches {
  readonly #parts: SearchesParts
  readonly #searches = new Map<string, RunningSearch>()

  constructor(parts: SearchesParts) {
    this.#parts = parts
  }

  /** @throws {Problem} region/not-joined, consent/code-wrong when no hospital of the region gives such codes, audit/unavailable */
  async begin(user: User, { patient, purpose, reason, code }: SearchWish): Promise<CrossSearch> {
    const { region, hospitalId, audit, now, consents } = this.#parts
    const directory = region.directory
    if (directory === undefined) throw new Problem('region/not-joined')
    const others = directory.hospitals.filter((entry) => isAsked(entry, hospitalId))
    const issuer = code === undefined ? undefined : issuerOf(code, others.map(({ id }) => id))
    if (code !== undefined && issuer === undefined) throw new Problem('consent/code-wrong')
    const person = assertedPersonOf(user)
    const search: RunningSearch = { searchId: randomUUID(), userId: user.id, person, purpose, reason, startedAt: now(), hospitals: new Map(), rows: [] }
    // Before anybody is asked: a search that leaves no trace is not made.
    const patientKey = audit.patientKey(hospitalId, patient.idCard ?? `${patient.name} ${patient.birthDate ?? patient.patientId ?? ''}`)
    await audit.record({ action: 'region.search', outcome: 'success', purpose, reason, object: { type: 'patient', id: '*', patientKey }, facts: { searchId: search.searchId, hospitals: others.map(({ id }) => id) } })
    for (const { id, name } of others) search.hospitals.set(id, { hospitalId: id, name, state: 'asking', problem: null, unseen: 'untold', found: 0, milliseconds: null })
    this.#keep(search)
    const statements = await consents.statementsFor(patient, others.map(({ id }) => id)) // prettier-ignore
    search.rows = await this.#own(user, patient)
    for (const { id } of others) void this.#ask(search, id, { patient, consents: statements, ...(id === issuer && code !== undefined && { code }) })
    return this.#shown(search)
  }

  async #ask(search: RunningSearch, hospital: HospitalId, what: { patient: PatientIdentity; consents: unknown; code?: string }): Promise<void> {
    const { region, assert, settings, log, changed, now } = this.#parts
    const { person, purpose, reason, searchId, startedAt } = search
    const entry = search.hospitals.get(hospital)!
    const settle = (change: Partial<AskedHospital>) => {
      search.hospitals.set(hospital, { ...entry, ...change, milliseconds: now() - startedAt })
      changed(search)
    }
    try {
      const assertion = assert(person, { audience: hospital, service: services.examSearch, purpose, reason })
      const answer = parseWith(
        ExamSearchAnswer,
        await region.line.request(hospital, services.examSearch, { searchId, purpose, assertion, ...what }, { timeoutMs: settings.answerWaitMs }),
        'answer of a search',
      )
      const rows = answer.rows.map((row) => this.#rowOf(row, hospital, entry.name))
      search.rows = [...search.rows, ...rows].sort(newestFirst)
      settle({ state: 'answered', found: rows.length, unseen: answer.unseen })
    } catch (error) {
      if (!isProblem(error)) log.error({ err: error, hospital }, 'a hospital was not asked')
      const code = isProblem(error) ? error.code : 'service/internal'
      const isSilent = code === 'region/hospital-offline' || code === 'region/hub-unreachable' || code === 'region/not-joined'
      settle({ state: isSilent ? 'silent' : 'refused', problem: { code, title: isProblemCode(code) ? answers[code].zh : code } })
    }
  }

  #rowOf(row: FoundExam, hospitalId: HospitalId, hospitalName: string): CrossExamRow {
    const texts = { clinicalHistory: '', reportFindings: '', reportImpression: '', updatedAt: 0 }
    const { patient, description } = maskSnapshot({ ...row, hospitalId, ...texts }, 'L1')
    return { ...row, patient, description, hospitalId, hospitalName }
  }

  /** Of this hospital, as far as the person may list them anyway. */
  async #own(user: User, patient: PatientIdentity): Promise<CrossExamRow[]> {
    const { db, vault, access, hospitalId, region } = this.#parts
    const rows: CrossExamRow[] = []
    for (const { examId, study } of await examsOfPatients(db, await matchPatients(db, vault, patient))) {
      if (!(await access.mayUser(user, 'list', { owner: hospitalId, examId, kept: 'in-hospital' }))) continue
      const exam = await findExam(db, examId)
      if (!exam) continue
      const { hospitalId: _id, clinicalHistory: _h, reportFindings, reportImpression, updatedAt: _u, ...shown } = maskSnapshot(snapshotOf(exam, hospitalId), 'L1')
      const hasReport = reportFindings !== '' || reportImpression !== ''
      rows.push({ ...shown, studyInstanceUid: study, instanceCount: exam.instanceCount, hasReport, because: 'own', until: null, hospitalId, hospitalName: region.nameOf(hospitalId) })
    }
    return rows
  }

  /** @throws {Problem} search/unknown, also when it is somebody else's. */
  of(user: Pick<User, 'id'>, searchId: string): RunningSearch {
    const search = this.#searches.get(searchId)
    if (!search || search.userId !== user.id || this.#parts.now() - search.startedAt > KEPT_MS) throw new Problem('search/unknown', { searchId })
    return search
  }

  shown(user: Pick<User, 'id'>, searchId: string): CrossSearch {
    return this.#shown(this.of(user, searchId))
  }

  #shown({ searchId, startedAt, purpose, hospitals, rows }: RunningSearch): CrossSearch {
    const asked = [...hospitals.values()]
    return { searchId, startedAt, purpose, isComplete: asked.every(({ state }) => state !== 'asking'), hospitals: asked, rows: [...rows].sort(newestFirst) }
  }

  #keep(search: RunningSearch): void {
    for (const [id, { startedAt }] of this.#searches) if (search.startedAt - startedAt > KEPT_MS || this.#searches.size >= MOST_KEPT) this.#searches.delete(id)
    this.#searches.set(search.searchId, search)
  }
}

/** Members with exams of their own that can be reached under their certificate. */
const isAsked = ({ id, certificate, revoked, kinds }: DirectoryEntry, here: HospitalId): boolean =>
  id !== here && certificate !== '' && !revoked && kinds.some((kind) => kind !== 'data-centre')

const momentOf = ({ studyDate, studyTime }: Pick<CrossExamRow, 'studyDate' | 'studyTime'>) => `${studyDate} ${studyTime}`
const newestFirst = (a: CrossExamRow, b: CrossExamRow): number => (momentOf(a) < momentOf(b) ? 1 : momentOf(a) > momentOf(b) ? -1 : a.studyInstanceUid < b.studyInstanceUid ? -1 : 1)
