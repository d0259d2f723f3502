import type { AuditTrail, Database, Log, User } from 'service-kit'
import {
  ExamSnapshot,
  GrantGiven,
  isProblem,
  parseWith,
  Problem,
  services,
  type AuditEvent,
  type CarePurpose,
  type EpochMs,
  type HeldExam,
  type HospitalId,
  type LiveExam,
  type StudyInstanceUid,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { isGenuineGrant } from '../access/verify-grant.ts'
import type { Archive } from '../archive/archive.ts'
import { assertedPersonOf, type Assert, type Asserted } from '../assertion/assert.ts'
import { archiveStudyAccess } from '../dicomweb/local-study.ts'
import type { StudyAccess, Viewer } from '../dicomweb/study-source.ts'
import { heldByPerson, heldForStudy, keepGrant, type KeptGrant } from '../grant/held-store.ts'
import { maskSnapshot } from '../patient/masked.ts'
import type { Sealing } from '../patient/contact.ts'
import type { Region } from '../region/region.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { RemoteStudyAccess, type KnownStudy } from '../transfer/remote-study.ts'
import { noteOpened } from '../transfer/store.ts'

export interface HeldExamsParts {
  readonly db: Database
  readonly log: Log
  readonly vault: Sealing
  readonly region: Region
  readonly access: AccessControl
  readonly assert: Assert
  readonly audit: AuditTrail
  readonly transfers: TransferEngine
  readonly regional: Archive
  readonly now: () => EpochMs
}

const ASK_MS = 8_000
const LIVE_MS = 3_000
/** A grant that somebody still uses is asked for anew when less than this is left of it. */
const RENEW_BEFORE_MS = 10 * 60_000
const unreachable = new Set(['region/hospital-offline', 'region/hub-unreachable', 'region/not-joined'])

/** What a person wants of one study elsewhere, and why. */
export interface ExamWish {
  readonly owner: HospitalId
  readonly study: StudyInstanceUid
  readonly purpose: CarePurpose
  readonly reason: string
}

/** Other hospitals' exams that people here were given grants for: asked for, fetched, read, renewed while they are in use. */
export class HeldExams {
  readonly #parts: HeldExamsParts
  readonly #renewing = new Map<string, Promise<unknown>>()

  constructor(parts: HeldExamsParts) {
    this.#parts = parts
  }

  /**
   * Asks the owner for a grant and begins to fetch.
   * @throws {Problem} access/no-authorisation, region/hospital-offline …; the attempt is in the trail either way.
   */
  async open(user: Asserted, wish: ExamWish): Promise<HeldExam> {
    const { db, region, vault, assert, audit, transfers, now } = this.#parts
    const { owner, study, purpose, reason } = wish
    const regionId = region.regionId
    if (regionId === undefined) throw new Problem('region/not-joined')
    const person = assertedPersonOf(user)
    const assertion = assert(person, { audience: owner, service: services.grantAsk, purpose, reason, studyInstanceUid: study })
    let given: GrantGiven
    try {
      const answer = await region.line.request(owner, services.grantAsk, { studyInstanceUid: study, purpose, assertion }, { timeoutMs: ASK_MS })
      given = parseWith(GrantGiven, answer, services.grantAsk)
      this.#check(given, user, wish)
    } catch (error) {
      if (isProblem(error)) await audit.record({ ...attempt(wish), outcome: unreachable.has(error.code) ? 'failed' : 'refused', code: error.code })
      throw error
    }
    const { grant } = given.grant
    await db.write(async (tx) => {
      await keepGrant(tx, { signed: given.grant, person: person.userId, reason, exam: vault.seal(JSON.stringify(given.exam), `held-grant/${grant.grantId}`), now: now() })
      await transfers.wish(tx, { regionId, studyInstanceUid: study, owner, sources: [owner], grant: given.grant, purpose: 'pull', requester: { person, reason } })
      await audit.within(tx, { ...attempt(wish), outcome: 'success', basis: grant.kind ?? 'task', facts: { authorisationId: grant.grantId, expires: grant.expires } })
    })
    return this.#rowOf((await this.#valid(user, study))!)
  }

  /** The owner's word is checked like anybody's: its own exam, this study, for us and for this person. */
  #check({ grant: signed, exam }: GrantGiven, user: Pick<User, 'id'>, { owner, study, purpose }: ExamWish): void {
    const { access, region, now } = this.#parts
    const { grant } = signed
    const fits = grant.owner === owner && exam.hospitalId === owner && grant.purpose === purpose && grant.person === user.id
    const isForUs = grant.grantees.includes(access.hospitalId) && grant.studyInstanceUids.length === 1 && grant.studyInstanceUids[0] === study
    if (!fits || !isForUs || !isGenuineGrant(signed, region.trust, now())) throw new Problem('access/grant-invalid', { grantId: grant.grantId })
  }

  async list(user: Pick<User, 'id'>): Promise<HeldExam[]> {
    return (await heldByPerson(this.#parts.db, user.id, 200)).map((held) => this.#rowOf(held))
  }

  /** Texts as the owner has them now, or as they came with the grant when it cannot be reached. @throws {Problem} access/… */
  async read(user: Asserted, study: StudyInstanceUid): Promise<LiveExam> {
    const { region, access, assert, vault, now } = this.#parts
    const held = await this.#current(user, study)
    if (!held) throw new Problem('access/no-grant')
    const { owner, purpose, signed } = held
    await access.admitUser(user, 'read', { owner, study, kept: 'regional' })
    try {
      const assertion = assert(assertedPersonOf(user), { audience: owner, service: services.examRead, purpose, reason: held.reason, studyInstanceUid: study })
      const answer = await region.line.request(owner, services.examRead, { studyInstanceUid: study, grant: signed, assertion }, { timeoutMs: LIVE_MS })
      return { exam: maskSnapshot(parseWith(ExamSnapshot, answer, 'exam'), 'L1'), source: 'live', at: now() }
    } catch (error) {
      if (!isProblem(error) || !unreachable.has(error.code)) throw error
      const exam = parseWith(ExamSnapshot, JSON.parse(vault.open(held.exam, `held-grant/${held.grantId}`)), 'exam')
      return { exam: maskSnapshot(exam, 'L1'), source: 'copy', at: held.givenAt }
    }
  }

  /** The grant that entitles this person to a study of that hospital, renewed if it is about to end. */
  async grantFor(user: Asserted, study: StudyInstanceUid, owner: HospitalId): Promise<KeptGrant | undefined> {
    const held = await this.#current(user, study)
    return held && held.owner === owner && held.withdrawnAt === null && this.#parts.now() < held.expires ? held : undefined
  }

  /** The images, for DICOMweb and WADO; undefined when this person holds no valid grant for the study. @throws {Problem} access/… */
  async forStudy(user: Viewer, study: StudyInstanceUid, doing: 'view' | 'export'): Promise<StudyAccess | undefined> {
    const { db, access, regional, transfers, region, vault, now } = this.#parts
    const held = await this.#current(user, study)
    if (!held || held.withdrawnAt !== null || now() >= held.expires) return undefined
    await access.admitUser(user, doing, { owner: held.owner, study, kept: 'regional' })
    await noteOpened(db, study, now())
    const known = await transfers.jobOfStudy(study, held.owner)
    const isUnderWay = known && (known.state === 'waiting' || known.state === 'running')
    const isHere = known?.state === 'complete' && (await regional.study(study))
    if (isHere) return archiveStudyAccess(regional, study)
    if (!isUnderWay) {
      const regionId = region.regionId
      if (regionId === undefined) throw new Problem('region/not-joined')
      const requester = { person: assertedPersonOf(user), reason: held.reason }
      await db.write((tx) => transfers.wish(tx, { regionId, studyInstanceUid: study, owner: held.owner, sources: [held.owner], grant: held.signed, purpose: 'pull', requester }))
    }
    const job = await transfers.jobOfStudy(study, held.owner)
    if (!job) throw new Problem('archive/unknown-study', { studyInstanceUid: study })
    const exam = parseWith(ExamSnapshot, JSON.parse(vault.open(held.exam, `held-grant/${held.grantId}`)), 'exam')
    return new RemoteStudyAccess({ job, archive: regional, engine: transfers, known: knownOf(exam) })
  }

  /** Refuses with the reason if this person once held a grant; what was read yesterday may not be read for ever. @throws {Problem} access/grant-withdrawn, access/grant-expired */
  async refuseEnded(user: Viewer, study: StudyInstanceUid, doing: 'view' | 'export'): Promise<void> {
    const last = (await this.#ofPerson(user, study)).at(-1)
    if (last) await this.#parts.access.admitUser(user, doing, { owner: last.owner, study, kept: 'regional' })
  }

  /** The grant that counts for this person, renewed if it is about to end; the last one, ended, if there is no valid one. */
  async #current(user: Asserted, study: StudyInstanceUid): Promise<KeptGrant | undefined> {
    const valid = await this.#valid(user, study)
    const last = valid ?? (await this.#ofPerson(user, study)).at(-1)
    if (!last || last.withdrawnAt !== null) return last
    const { now, log } = this.#parts
    if (last.expires - now() > RENEW_BEFORE_MS) return last
    const renewing = this.#renew(user, last)
    // What still holds need not wait for what comes after it.
    if (valid) {
      renewing.catch((error: unknown) => log.info({ studyInstanceUid: study, code: isProblem(error) ? error.code : undefined }, 'grant not renewed'))
      return valid
    }
    await renewing.catch((error: unknown) => {
      if (!isProblem(error)) throw error
    })
    return (await this.#valid(user, study)) ?? last
  }

  #renew(user: Asserted, { owner, study, purpose, reason }: KeptGrant): Promise<unknown> {
    const key = `${user.id} ${study}`
    const running = this.#renewing.get(key)
    if (running) return running
    const renewing = this.open(user, { owner, study, purpose, reason }).finally(() => {
      // Not again with every frame: a refusal is asked about once in a while only.
      setTimeout(() => this.#renewing.delete(key), 30_000).unref()
    })
    this.#renewing.set(key, renewing)
    return renewing
  }

  async #ofPerson(user: Pick<User, 'id'>, study: string): Promise<KeptGrant[]> {
    return (await heldForStudy(this.#parts.db, study)).filter(({ person }) => person === user.id)
  }

  async #valid(user: Pick<User, 'id'>, study: string): Promise<KeptGrant | undefined> {
    const now = this.#parts.now()
    return (await this.#ofPerson(user, study)).findLast(({ withdrawnAt, expires }) => withdrawnAt === null && now < expires)
  }

  #rowOf(held: KeptGrant): HeldExam {
    const { region, vault, now } = this.#parts
    const { grantId, owner, study, kind, purpose, givenAt, expires, withdrawnAt } = held
    const state = withdrawnAt !== null ? 'withdrawn' : now() >= expires ? 'expired' : 'valid'
    const exam = parseWith(ExamSnapshot, JSON.parse(vault.open(held.exam, `held-grant/${grantId}`)), 'exam')
    // What may no longer be read is not shown by way of the list either.
    const shown = state === 'valid' ? maskSnapshot(exam, 'L1') : null
    return { grantId, hospitalId: owner, hospitalName: region.nameOf(owner), studyInstanceUid: study, kind, purpose, state, givenAt, expires, exam: shown }
  }
}

const attempt = ({ owner, study, purpose, reason }: ExamWish): Pick<AuditEvent, 'action' | 'object' | 'purpose' | 'reason'> => ({
  action: 'exam.read',
  object: { type: 'study', id: study, owner },
  purpose,
  reason,
})

function knownOf({ patient, accessionNumber, studyDate, studyTime, description }: ExamSnapshot): KnownStudy {
  const digits = (text: string) => text.replace(/\D/g, '')
  return {
    patientId: patient.id,
    patientName: patient.name,
    patientSex: patient.sex,
    patientBirthDate: digits(patient.birthDate),
    accessionNumber,
    studyDate: digits(studyDate),
    studyTime: digits(studyTime),
    studyDescription: description,
  }
}
