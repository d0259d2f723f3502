import { parseCertificate } from 'pki'
import type { Database, User } from 'service-kit'
import { answers, isProblem, isProblemCode, Problem, type ConsultDetail, type ConsultRow, type HospitalId, type ProblemNote } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { Region } from '../region/region.ts'
import { stampedAt, stampedSignature } from '../signing/time-stamps.ts'
import { examOf, type Consult } from './consult.ts'
import { findConsult, timelineOf } from './store.ts'

export type ImagesState = ConsultRow['images']

export interface ViewParts {
  readonly db: Database
  readonly region: Region
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  /** How much of a study is at this node. */
  readonly imagesOf: (consult: Consult) => Promise<ImagesState>
}

const told = (note: ProblemNote | null) =>
  note && { code: note.code, title: isProblemCode(note.code) ? answers[note.code].zh : note.code, facts: { ...note.facts } }

/** The row with what this person may know: whoever may not read the exam sees the masked label and no question. */
export async function rowOf(parts: ViewParts, user: User, consult: Consult): Promise<ConsultRow> {
  const isReadable = await mayRead(parts, user, consult)
  const { taskId, regionId, side, submitter, state, revision, holder, examId, appliedAt, updatedAt, pending, problem } = consult
  const { grant: _grant, ...facts } = consult.facts
  return {
    taskId, regionId, side, submitter, state, revision, holder, facts, appliedAt, updatedAt,
    submitterName: parts.region.nameOf(submitter),
    patientName: isReadable ? consult.patientName : facts.patientLabel,
    question: isReadable ? consult.question : '',
    examId: side === 'submitter' ? examId : null,
    images: await parts.imagesOf(consult),
    pending: pending?.type ?? null,
    problem: told(problem),
  } // prettier-ignore
}

/** @throws {Problem} consult/unknown-task */
export async function detailOf(parts: ViewParts, user: User, taskId: Consult['taskId']): Promise<ConsultDetail> {
  const consult = await findConsult(parts.db, taskId)
  if (!consult) throw new Problem('consult/unknown-task', { taskId })
  const events = await timelineOf(parts.db, taskId)
  const isReadable = await mayRead(parts, user, consult)
  const named = [
    consult.submitter,
    ...consult.offeredTo,
    ...consult.imagesArrivedAt,
    ...events.map((event) => event.by.hospitalId),
    ...(consult.holder ? [consult.holder.hospitalId] : []),
  ]
  return {
    ...(await rowOf(parts, user, consult)),
    request: isReadable ? consult.request : null,
    opinion: isReadable ? consult.opinion : null,
    opinionValid: consult.opinionValid,
    opinionCertificate: isReadable ? certificateOf(consult) : null,
    opinionSignedBy: consult.opinion ? (consult.opinion.author ? 'person' : 'hospital') : null,
    opinionStampedAt: isReadable ? stampOf(parts, consult) : null,
    keyImageSeriesInstanceUid: consult.keyImageSeriesInstanceUid,
    events,
    hospitalNames: Object.fromEntries([...new Set(named)].map((id) => [id, parts.region.nameOf(id)])),
  }
}

function stampOf({ region }: ViewParts, { opinion }: Consult): number | null {
  if (opinion?.timeStamp === undefined || !region.trust) return null
  return stampedAt(region.trust, opinion.timeStamp, stampedSignature(opinion)) ?? null
}

/** A chain that cannot be read belongs to an opinion that is shown as not valid. */
function certificateOf({ opinion }: Consult): ConsultDetail['opinionCertificate'] {
  const [leaf] = (opinion?.author ?? opinion)?.certificateChain ?? []
  if (leaf === undefined) return null
  try {
    const { subject, serial, notBefore, notAfter, fingerprintSm3 } = parseCertificate(leaf)
    const named = (['cn', 'ou', 'o', 'c'] as const).filter((attribute) => subject[attribute] !== '')
    const text = named.map((attribute) => `${attribute.toUpperCase()}=${subject[attribute]}`).join(', ') // the way OpenSSL and RFC 4514 write it
    return { subject: text, serial, notBefore, notAfter, fingerprintSm3 }
  } catch (error) {
    if (isProblem(error)) return null
    throw error
  }
}

function mayRead({ access }: ViewParts, user: User, consult: Consult): Promise<boolean> {
  return access.mayUser(user, 'read', examOf(consult))
}
