import { randomUUID } from 'node:crypto'
import type { Response } from 'express'
import type { AuditTrail, Database, Log, User } from 'service-kit'
import { isProblem, maskName, maskNumber, Problem, type EpochMs, type ExportRequest, type ExportRow, type HospitalId, type Reidentified, type StudyInstanceUid } from 'specs'
import type { AccessControl, AskedExam } from '../access/access-control.ts'
import type { ImageExports } from '../access/image-export.ts'
import type { Archive } from '../archive/archive.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { archiveStudyAccess } from '../dicomweb/local-study.ts'
import type { Exam } from '../exam/exam.ts'
import { displayName } from '../exam/patient-name.ts'
import { findExamOfStudy } from '../exam/store.ts'
import { contactsOf, type Sealing } from '../patient/contact.ts'
import { contentsOf, type Contents } from './contents.ts'
import { IdentifyingWords } from './identifying-words.ts'
import { writePackage, type Form } from './package.ts'
import { PictureMarker } from './picture-marks.ts'
import { keyOfProject, listProjects, openProject, pseudonymOf, reidentify, shiftOf, uidOf } from './project.ts'
import { pointsAtSomebody, type Pseudonymity } from './pseudonymise.ts'
import { reportText } from './report-text.ts'
import { RunningDownload } from './running-download.ts'
import { cancelExport, endRun, findExport, keepExport, listExports, reportRun, rowOf, startRun, type ExportJob } from './store.ts'

export interface ExportDeskParts {
  readonly db: Database
  readonly vault: Sealing
  readonly log: Log
  readonly audit: AuditTrail
  readonly access: AccessControl
  readonly exports: ImageExports
  readonly hospitalId: HospitalId
  readonly hospitalName: () => string
  readonly inHospital: Archive
  readonly renderer: Renderer
  readonly settings: { readonly maxBytes: number; readonly maxPictures: number; readonly atOnce: number; readonly openMinutes: number }
  readonly now?: () => EpochMs
}

/** Whose images they are, as register and archive have it. */
interface Subject {
  readonly patientId: string
  readonly patientName: string
  readonly accessionNumber: string
  readonly words: IdentifyingWords
}

/**
 * 导出 (SEC-06, SEC-10, VWR-33): a person asks for images of an exam of ours, with purpose and reason; what may leave is decided and kept as the
 * record of the authorisation; then it is downloaded, made while it flows. Nothing of an export lies on our disks.
 */
export class ExportDesk {
  readonly #parts: ExportDeskParts
  readonly #now: () => EpochMs
  readonly #running = new Set<RunningDownload>()

  constructor(parts: ExportDeskParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  /** @throws {Problem} access/…, export/too-large, export/nothing, export/purpose-names-patient */
  async prepare(user: User, request: ExportRequest): Promise<ExportRow> {
    const { db, vault, settings } = this.#parts
    await this.#admit(user, request)
    const contents = await this.#contents(request)
    const { words } = await this.#subjectOf(request.studyInstanceUid)
    // The watermark and the report carry it.
    if (request.level === 'L3' && pointsAtSomebody(words, `${request.purpose} ${request.project}`)) throw new Problem('export/purpose-names-patient')
    const [exportId, now] = [randomUUID(), this.#now()]
    const project = request.level === 'L3' ? await openProject(db, vault, request.project, { exportId, accountId: user.id, now }) : undefined
    const { level, format, purpose, reason, authorisation, studyInstanceUid } = request
    const job: ExportJob = {
      exportId, level, format, purpose, reason, authorisation, studyInstanceUid, request,
      accountId: user.id,
      accountName: user.name,
      projectId: project?.projectId ?? '',
      project: level === 'L3' ? request.project : '',
      count: contents.count,
      sizeBytes: contents.sizeBytes,
      leftOut: [...contents.leftOut],
      state: 'ready',
      done: 0, sentBytes: 0, run: 0,
      createdAt: now, startedAt: null, touchedAt: now, endedAt: null,
      openUntil: now + settings.openMinutes * 60_000,
    } // prettier-ignore
    await keepExport(db, job)
    return rowOf(job)
  }

  async list(user: User): Promise<ExportRow[]> {
    return (await listExports(this.#parts.db, user.id, this.#now())).map(rowOf)
  }

  /** @throws {Problem} export/unknown, also for other people's. */
  async row(user: User, exportId: string): Promise<ExportRow> {
    return rowOf(await this.#job(user, exportId))
  }

  /** Ends a download wherever it runs, and lets nobody begin it again. @throws {Problem} export/unknown */
  async cancel(user: User, exportId: string): Promise<ExportRow> {
    const { db, audit, hospitalId } = this.#parts
    const job = await this.#job(user, exportId)
    if (await cancelExport(db, user.id, exportId, this.#now())) {
      for (const download of this.#running) if (download.exportId === exportId) download.abort('cancelled')
      await audit.record({ action: 'image.export-end', outcome: 'success', object: { type: 'study', id: job.studyInstanceUid, owner: hospitalId }, facts: { exportId, state: 'cancelled' } })
    }
    return this.row(user, exportId)
  }

  projects = () => listProjects(this.#parts.db)

  /** Who a pseudonym stands for: told to the trail before it is told to anybody. @throws {Problem} export/pseudonym-unknown, audit/unavailable */
  async reidentify(projectId: string, pseudonym: string, reason: string): Promise<Reidentified> {
    const { db, vault, audit, hospitalId } = this.#parts
    const found = await reidentify(db, vault, projectId, pseudonym)
    const patientKey = found.patientId === '' ? undefined : audit.patientKey(hospitalId, found.patientId)
    await audit.record({ action: 'patient.reidentify', outcome: 'success', object: { type: 'patient', id: pseudonym, owner: hospitalId, ...(patientKey !== undefined && { patientKey }) }, reason, facts: { projectId } })
    return found
  }

  /**
   * Sends the package. The trail knows of it before the first byte; if it breaks off, so does the answer, and what arrived is no archive.
   * @throws {Problem} export/unknown, export/ended, export/running, export/busy, access/…, audit/unavailable: before the first byte
   */
  async download(user: User, sessionId: string, exportId: string, response: Response): Promise<void> {
    const { db, settings } = this.#parts
    const job = await this.#job(user, exportId)
    if (job.state === 'cancelled' || this.#now() > job.openUntil) throw new Problem('export/ended')
    await this.#admit(user, job.request)
    const contents = await this.#contents(job.request)
    const form = await this.#formOf(user, job)
    const run = await startRun(db, job, settings.atOnce, this.#now())
    if (run === 'busy' || run === 'running') throw new Problem(run === 'busy' ? 'export/busy' : 'export/running')
    const download = new RunningDownload({
      exportId, sessionId, response,
      // A second later the page knows how far it is, and we whether it is still wanted and still allowed.
      report: async (progress) => (await reportRun(db, exportId, run, progress, this.#now())) && (await this.#mayStill(user, job.request)),
    }) // prettier-ignore
    this.#running.add(download)
    let error: unknown
    try {
      await this.#tellBegin(user, job, contents)
      download.begin(`export-${job.level}-${exportId.slice(0, 8)}.zip`)
      await writePackage({
        contents, form,
        study: await archiveStudyAccess(this.#parts.inHospital, job.studyInstanceUid),
        report: (count, staying) => this.#report(user, job, count, staying),
        sink: download.sink,
        signal: download.signal,
        onProgress: download.onProgress,
        now: new Date(this.#now()),
      }) // prettier-ignore
      await download.finish()
    } catch (thrown) {
      error = thrown
      download.abort('failed')
    } finally {
      this.#running.delete(download)
      download.close()
      await endRun(db, exportId, run, error === undefined ? 'done' : 'broken', download.progress, this.#now())
    }
    await this.#tellEnd(job, download, error)
    if (error !== undefined && !response.headersSent) throw error
  }

  /** Of a session that has ended; of all, when the node stops. */
  abort(sessionId?: string): void {
    for (const download of this.#running) if (sessionId === undefined || download.sessionId === sessionId) download.abort(sessionId === undefined ? 'stopping' : 'session ended')
  }

  #exam(study: StudyInstanceUid): AskedExam {
    return { owner: this.#parts.hospitalId, study, kept: 'in-hospital' }
  }

  /** Names in full, or pictures that may show them, are an unmasking too. @throws {Problem} access/…, archive/unknown-study */
  async #admit(user: User, { studyInstanceUid, level, includeShown }: ExportRequest): Promise<void> {
    const { access, inHospital } = this.#parts
    if (!(await inHospital.study(studyInstanceUid))) throw new Problem('archive/unknown-study', { studyInstanceUid })
    await access.admitUser(user, 'export', this.#exam(studyInstanceUid))
    if (level === 'L0' || includeShown) await access.admitUser(user, 'unmask', this.#exam(studyInstanceUid))
  }

  async #mayStill(user: User, { studyInstanceUid }: ExportRequest): Promise<boolean> {
    return this.#parts.access.mayUser(user, 'export', this.#exam(studyInstanceUid))
  }

  async #job(user: User, exportId: string): Promise<ExportJob> {
    const job = await findExport(this.#parts.db, user.id, exportId, this.#now())
    if (!job) throw new Problem('export/unknown')
    return job
  }

  async #contents(request: ExportRequest): Promise<Contents> {
    const { inHospital, settings } = this.#parts
    const contents = await contentsOf(await archiveStudyAccess(inHospital, request.studyInstanceUid), request, settings)
    if (contents.leaving.length === 0) throw new Problem('export/nothing', { leftOut: contents.leftOut })
    return contents
  }

  async #subjectOf(study: StudyInstanceUid): Promise<Subject> {
    const { db, vault, inHospital } = this.#parts
    const [row, exam] = [await inHospital.study(study), await findExamOfStudy(db, study)]
    const contact = exam && (await contactsOf(db, vault, [exam.examId])).get(exam.examId)
    const words = new IdentifyingWords()
    for (const name of [row?.patientName, row?.referringPhysicianName, exam?.patientName]) if (name) words.addName(name)
    for (const code of [row?.patientId, row?.accessionNumber, row?.patientBirthDate, exam?.patientId, exam?.accessionNumber, exam?.patientBirthDate, contact?.idCard, contact?.phone]) if (code) words.addCode(code)
    for (const phrase of [contact?.address, row?.institutionName]) if (phrase) words.addPhrase(phrase)
    // The register counts: it may have put right what the device was told.
    return { words, patientId: known(exam, 'patientId') ?? row?.patientId ?? '', patientName: known(exam, 'patientName') ?? displayName(row?.patientName ?? ''), accessionNumber: known(exam, 'accessionNumber') ?? row?.accessionNumber ?? '' }
  }

  async #formOf(user: User, job: ExportJob): Promise<Form> {
    const { level, format, request } = job
    const subject = await this.#subjectOf(job.studyInstanceUid)
    const pseudonymity = level === 'L3' ? await this.#pseudonymityOf(job, subject) : undefined
    if (format !== 'dicom') {
      const { renderer } = this.#parts
      const whose = pseudonymity ? pseudonymity.patient : `${maskName(subject.patientName, level)}  ${maskNumber(subject.patientId, level)}`
      return { kind: 'pictures', format, renderer, marker: new PictureMarker(this.#marks(user, job, request.identification ? whose : '')) }
    }
    if (pseudonymity === undefined) return { kind: level === 'L0' ? 'as-stored' : 'masked' }
    // Each file has words of its own beside those of the register.
    return { kind: 'pseudonymous', pseudonymity: () => ({ ...pseudonymity, words: subject.words.copy() }) }
  }

  async #pseudonymityOf({ projectId, studyInstanceUid, request }: ExportJob, subject: Subject): Promise<Pseudonymity> {
    const { db, vault } = this.#parts
    const project = await keyOfProject(db, vault, projectId)
    const { patientId, patientName, accessionNumber, words } = subject
    const number = (kind: 'patient' | 'study') =>
      pseudonymOf(db, vault, project, kind, { patientId, patientName, studyInstanceUid: kind === 'study' || patientId === '' ? studyInstanceUid : null, accessionNumber: kind === 'study' ? accessionNumber : null }, this.#now())
    return {
      words,
      patient: await number('patient'),
      exam: await number('study'),
      uid: (original) => uidOf(project, original),
      dates: request.dates === 'shifted' ? { kind: 'shifted', days: shiftOf(project, patientId || studyInstanceUid) } : { kind: request.dates },
      characteristics: request.characteristics,
    }
  }

  #marks(user: User, { exportId, purpose, createdAt }: ExportJob, above: string) {
    const { hospitalId, hospitalName } = this.#parts
    const [at, number] = [localTime(createdAt), exportId.slice(0, 8)]
    return {
      above,
      across: `${hospitalName()} ${user.username} ${at.slice(0, 10)}`,
      below: `${hospitalName()} · ${user.name}（${user.username}） · ${at} · 用途：${purpose} · 导出号 ${number}`,
      plain: { above: above.replace(/[^\x20-\x7e]/g, '?'), across: `${hospitalId} ${user.username} ${at.slice(0, 10)}`, below: `${hospitalId} / ${user.username} / ${at} / export ${number}` },
    }
  }

  #report(user: User, { exportId, request, projectId, createdAt }: ExportJob, count: number, staying: Contents['staying']): string {
    return reportText({ exportId, request, projectId, count, staying, hospital: this.#parts.hospitalName(), by: `${user.name}（${user.username}）`, at: localTime(createdAt) })
  }

  async #tellBegin(user: User, job: ExportJob, { count, leftOut }: Contents): Promise<void> {
    const { exports, audit, hospitalId } = this.#parts
    const { exportId, level, format, purpose, reason, authorisation, studyInstanceUid, projectId, request } = job
    const facts = { exportId, level, format, count, leftOut: leftOut.reduce((sum, each) => sum + each.count, 0), ...(authorisation !== '' && { authorisation }), ...(projectId !== '' && { projectId }), ...(request.includeShown && { includeShown: true }) }
    await exports.begin({ accountId: user.id, study: studyInstanceUid, owner: hospitalId, reason, told: { purpose, facts } })
    if (level === 'L0' || request.includeShown) await audit.record({ action: 'patient.unmask', outcome: 'success', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, reason, basis: 'export', facts: { exportId } })
  }

  async #tellEnd({ exportId, studyInstanceUid }: ExportJob, download: RunningDownload, error: unknown): Promise<void> {
    const { audit, log, hospitalId } = this.#parts
    const { done, sentBytes } = download.progress
    if (error !== undefined) log.warn({ err: error, exportId, because: download.because }, 'an export broke off')
    // Bytes have left or not, the trail has heard of the beginning: that the end cannot be told now must not look like a failed export.
    await audit
      .record({ action: 'image.export-end', outcome: error === undefined ? 'success' : 'failed', object: { type: 'study', id: studyInstanceUid, owner: hospitalId }, ...(isProblem(error) && { code: error.code }), facts: { exportId, state: error === undefined ? 'done' : 'broken', done, sentBytes, ...(error !== undefined && { because: download.because }) } })
      .catch((failure: unknown) => log.error({ err: failure, exportId }, 'the end of an export is not in the trail'))
  }
}

const known = (exam: Exam | undefined, field: 'patientId' | 'patientName' | 'accessionNumber'): string | undefined => (exam && exam[field] !== '' ? exam[field] : undefined)

/** 2026-11-22 08:15, as the hospital's clocks have it. */
function localTime(at: EpochMs): string {
  const local = new Date(at)
  const two = (number: number) => String(number).padStart(2, '0')
  return `${local.getFullYear()}-${two(local.getMonth() + 1)}-${two(local.getDate())} ${two(local.getHours())}:${two(local.getMinutes())}`
}
