import { signDocument } from 'pki'
import type { Database, User } from 'service-kit'
import {
  Problem,
  type ConsultApplication,
  type ConsultFacts,
  type ConsultRequest,
  type EpochMs,
  type HospitalId,
  type SignedGrant,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { consultationGrant } from '../access/grant.ts'
import { rememberGrant } from '../access/grant-store.ts'
import type { Archive, StudyRow } from '../archive/archive.ts'
import { snapshotOf, type Exam } from '../exam/exam.ts'
import { maskedLabel } from '../exam/patient-name.ts'
import { findExam } from '../exam/store.ts'
import type { Region } from '../region/region.ts'
import type { CommandDesk } from './command-desk.ts'
import { offeredHospitals, type Consult } from './consult.ts'
import { decideApplication, type Addressees } from './decide-application.ts'
import { findConsult } from './store.ts'

export interface ApplyParts {
  readonly db: Database
  readonly region: Region
  readonly access: AccessControl
  readonly archive: Archive
  readonly desk: CommandDesk
  readonly hospitalId: HospitalId
  readonly grantDays: number
  readonly now: () => EpochMs
}

/**
 * 申请会诊. Grant, task and message are saved together; a second press with the same task id finds the first.
 *
 * @throws {Problem} exam/unknown, archive/unknown-study, access/…, region/… (see decideApplication), consult/exists, or the hub's refusal.
 */
export async function applyForConsult(parts: ApplyParts, user: User, application: ConsultApplication): Promise<void> {
  const { db, access, archive, hospitalId, desk } = parts
  const exam = await findExam(db, application.examId)
  if (!exam) throw new Problem('exam/unknown', { examId: application.examId })
  await access.admitUser(user, 'apply', { owner: hospitalId, study: exam.studyInstanceUid ?? undefined, kept: 'in-hospital' })
  const known = await findConsult(db, application.taskId)
  if (known) {
    if (known.side !== 'submitter' || known.examId !== application.examId)
      throw new Problem('consult/exists', { taskId: application.taskId })
    return
  }
  const study = exam.studyInstanceUid ? await archive.study(exam.studyInstanceUid) : undefined
  if (!study) throw new Problem('archive/unknown-study', { examId: exam.examId })

  const { region, now } = parts
  const { hospital, directory, regionId } = region
  if (!hospital || !directory || regionId === undefined) throw new Problem('region/not-joined')
  const addressees = decideApplication(application, hospital, directory)
  const grant = signGrant(parts, application, addressees, study)
  const facts = factsOf(application, exam, study, grant)
  const request: ConsultRequest = {
    kind: 'consult-request',
    taskId: application.taskId,
    question: application.question,
    exam: snapshotOf(exam, hospitalId),
    studies: [{ studyInstanceUid: study.studyInstanceUid, instanceCount: study.instanceCount, sizeBytes: study.sizeBytes }],
  }
  const sealed = region.line.sealFor(addressees.processors, request)
  const at = now()
  const queued: Consult = {
    taskId: application.taskId,
    regionId,
    side: 'submitter',
    submitter: hospitalId,
    state: 'queued',
    revision: 0,
    holder: null,
    facts,
    offeredTo: offeredHospitals(facts, directory),
    imagesArrivedAt: [],
    examId: exam.examId,
    patientName: exam.patientName,
    question: application.question,
    request,
    opinion: null,
    opinionValid: null,
    keyImageSeriesInstanceUid: null,
    appliedAt: at,
    updatedAt: at,
    pending: null,
    problem: null,
  }
  const commandId = await db.write(async (tx) => {
    if (await findConsult(tx, application.taskId)) return undefined // pressed twice at once
    await rememberGrant(tx, grant, regionId, at)
    return desk.post(tx, queued, desk.personOf(user), { type: 'submit', facts, sealed })
  })
  if (commandId !== undefined) await desk.outcome(application.taskId, commandId)
}

function signGrant(
  { hospitalId, grantDays, region, now }: ApplyParts,
  { taskId }: ConsultApplication,
  { processors, dataCentres }: Addressees,
  study: StudyRow,
): SignedGrant {
  const grant = consultationGrant({
    owner: hospitalId,
    grantees: [...processors, ...dataCentres],
    studyInstanceUids: [study.studyInstanceUid],
    taskId,
    validDays: grantDays,
    now: now(),
  })
  return { grant, ...signDocument(region.identity, grant) }
}

/** The clear part: nothing that tells who the patient is (see ConsultFacts). */
function factsOf({ mode, target, imagesTo, urgency }: ConsultApplication, exam: Exam, study: StudyRow, grant: SignedGrant): ConsultFacts {
  return {
    taskType: 'consultation',
    mode,
    target,
    imagesTo,
    urgency,
    modality: exam.modality.slice(0, 16),
    bodyPart: exam.bodyPart.slice(0, 64),
    patientLabel: maskedLabel(exam.patientName),
    studyInstanceUids: [study.studyInstanceUid],
    instanceCount: study.instanceCount,
    sizeBytes: study.sizeBytes,
    grant,
  }
}
