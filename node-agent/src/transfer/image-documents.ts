import type { AuditTrail, Database, Log } from 'service-kit'
import {
  answers,
  type AskDocuments,
  DocumentsGiven,
  documentStatus,
  isProblem,
  isProblemCode,
  parseWith,
  PIECE_BYTES,
  Problem,
  services,
  type CarePurpose,
  type DocumentAnswer,
  type DocumentAnswers,
  type DocumentErrorCode,
  type HospitalId,
  type ManifestRow,
  type ProblemCode,
  type SignedGrant,
  type SopInstanceUid,
  type TaskId,
} from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { Archive, InstanceRow } from '../archive/archive.ts'
import { assertedPersonOf, type Assert, type Asserted } from '../assertion/assert.ts'
import { consultsOfStudy } from '../consult/store.ts'
import type { HeldExams } from '../cross-hospital/held-exams.ts'
import type { Viewer } from '../dicomweb/study-source.ts'
import type { Region } from '../region/region.ts'
import type { PieceCoder } from './cipher-thread.ts'
import { findDocuments } from './documents.ts'
import { SourceSession } from './source-session.ts'
import { noteOpened } from './store.ts'

export interface ImageDocumentsParts {
  readonly db: Database
  readonly log: Log
  readonly region: Region
  readonly coder: PieceCoder
  readonly access: AccessControl
  readonly assert: Assert
  readonly audit: AuditTrail
  readonly held: Pick<HeldExams, 'grantFor'>
  readonly inHospital: Archive
  readonly regional: Archive
  readonly hospitalId: HospitalId
  readonly timeoutMs: number
}

/** What entitles somebody to a study of another hospital. */
interface Leave {
  readonly signed: SignedGrant
  readonly purpose: CarePurpose
  readonly reason?: string | undefined
  readonly taskId?: TaskId | undefined
}

/** Instances fetched side by side. */
const AT_ONCE = 3

/**
 * The image-document consumer (FED-27, AGT-11): asks the hospital that holds a study for single instances by a sealed message, keeps what comes in the
 * regional archive, and says of each UID whether it was given or why not. What is here already is not asked for again (AGT-12).
 */
export class ImageDocuments {
  readonly #parts: ImageDocumentsParts

  constructor(parts: ImageDocumentsParts) {
    this.#parts = parts
  }

  /** @throws {Problem} access/… when the person may not see the study; region/hospital-offline …; what the owner refuses the whole request with */
  async retrieve(user: Viewer & Asserted, ask: AskDocuments): Promise<DocumentAnswers> {
    const { access, hospitalId, inHospital } = this.#parts
    const { ownerHospital: owner, studyInstanceUid: study } = ask
    if (owner === hospitalId) {
      await access.admitUser(user, 'view', { owner, study, kept: 'in-hospital' })
      return this.#answers(ask, await outcomesIn(inHospital, ask))
    }
    const leave = await this.#leave(user, ask)
    const outcomes = await this.#held(ask)
    const missing = ask.sopInstanceUids.filter((uid) => !outcomes.has(uid))
    if (missing.length > 0) for (const [uid, outcome] of await this.#ask(user, ask, leave, missing)) outcomes.set(uid, outcome)
    return this.#answers(ask, outcomes)
  }

  /** A grant of this person, or a consultation that entrusts the study to us. */
  async #leave(user: Viewer & Asserted, { ownerHospital: owner, studyInstanceUid: study }: AskDocuments): Promise<Leave> {
    const { db, access, held } = this.#parts
    const grant = await held.grantFor(user, study, owner)
    if (grant) {
      await access.admitUser(user, 'view', { owner, study, kept: 'regional' })
      return grant
    }
    const consult = (await consultsOfStudy(db, study)).find(({ side, submitter }) => side !== 'submitter' && submitter === owner)
    if (!consult) throw new Problem('access/no-grant')
    await access.admitUser(user, 'view', { owner, study, kept: 'regional' })
    const { grant: signed } = consult.facts
    return { signed, purpose: signed.grant.purpose, taskId: consult.taskId }
  }

  async #held({ studyInstanceUid, seriesInstanceUid, sopInstanceUids, ownerHospital }: AskDocuments): Promise<Map<SopInstanceUid, Outcome>> {
    const { db, regional } = this.#parts
    const wanted = new Set<string>(sopInstanceUids)
    const study = await regional.study(studyInstanceUid)
    if (study?.hospitalId !== ownerHospital) return new Map()
    await noteOpened(db, studyInstanceUid, Date.now())
    const rows = await regional.instances(studyInstanceUid, seriesInstanceUid)
    return new Map(rows.filter(({ sopInstanceUid }) => wanted.has(sopInstanceUid)).map((row) => [row.sopInstanceUid, { row, wasHere: true }]))
  }

  async #ask(user: Asserted, ask: AskDocuments, { signed, purpose, reason, taskId }: Leave, sopInstanceUids: readonly SopInstanceUid[]): Promise<Map<SopInstanceUid, Outcome>> {
    const { region, assert, coder, timeoutMs } = this.#parts
    const { ownerHospital: owner, studyInstanceUid, seriesInstanceUid } = ask
    const assertion = assert(assertedPersonOf(user), { audience: owner, service: services.documentRetrieve, purpose, reason, studyInstanceUid, taskId })
    const body = { studyInstanceUid, ...(seriesInstanceUid !== undefined && { seriesInstanceUid }), sopInstanceUids, grant: signed, assertion }
    const given = parseWith(DocumentsGiven, await region.line.request(owner, services.documentRetrieve, body, { timeoutMs }), services.documentRetrieve)
    const outcomes = new Map<SopInstanceUid, Outcome>(given.failures.map(({ sopInstanceUid, errorCode, code }) => [sopInstanceUid, { errorCode, code: known(code) }]))
    const named = new Set<string>(sopInstanceUids)
    const rows = given.documents.filter(({ sopInstanceUid }) => named.has(sopInstanceUid)) // and nothing that nobody asked for
    if (given.session && rows.length > 0) {
      const open = { line: region.line, source: owner, study: studyInstanceUid, grant: signed, purpose: 'pull', timeoutMs, coder } as const
      const session = SourceSession.of(open, given.session, { studyInstanceUid, rows, madeAt: Date.now() })
      const waiting = [...rows]
      const fetching = async () => {
        for (let row = waiting.shift(); row; row = waiting.shift()) outcomes.set(row.sopInstanceUid, await this.#fetch(session, ask, row, signed))
      }
      await Promise.all(Array.from({ length: AT_ONCE }, fetching))
    }
    this.#tell(ask, signed, outcomes, taskId)
    return outcomes
  }

  /** Content that is not what was promised is refused like content that did not come; the others go on. */
  async #fetch(session: SourceSession, { ownerHospital: owner, studyInstanceUid }: AskDocuments, row: ManifestRow, { grant }: SignedGrant): Promise<Outcome> {
    const { regional, region, log } = this.#parts
    const { sopClassUid, sopInstanceUid, sm3, sizeBytes } = row
    const regionId = grant.taskId === undefined ? region.regionId : undefined
    const incoming = await regional.receive({ kind: 'transfer', peer: owner, owner, regionId }, { part10: true })
    try {
      for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) await incoming.write(await session.piece(row, offset, Math.min(PIECE_BYTES, sizeBytes - offset)))
      await incoming.commit({ studyInstanceUid, sopClassUid, sopInstanceUid, sm3, sizeBytes })
      const kept = await regional.instance(sopInstanceUid)
      return kept ? { row: kept, wasHere: false } : repositoryError('archive/unknown-instance')
    } catch (error) {
      await incoming.abort()
      if (!isProblem(error)) throw error
      log.warn({ sopInstanceUid, source: owner, code: error.code }, 'image document not kept')
      return repositoryError(error.code)
    }
  }

  #tell({ ownerHospital: owner, studyInstanceUid, sopInstanceUids }: AskDocuments, { grant }: SignedGrant, outcomes: ReadonlyMap<string, Outcome>, taskId: TaskId | undefined): void {
    const rows = [...outcomes.values()].flatMap((outcome) => ('row' in outcome ? [outcome.row] : []))
    const refused = [...outcomes.values()].flatMap((outcome) => ('row' in outcome ? [] : [outcome.code]))
    this.#parts.audit.note({
      action: 'transfer.receive', basis: 'grant', purpose: grant.purpose,
      ...(rows.length > 0 ? { outcome: 'success' } : { outcome: 'failed', code: refused[0] ?? 'archive/unknown-instance' }),
      object: { type: 'study', id: studyInstanceUid, owner },
      facts: {
        source: owner, destination: this.#parts.hospitalId, mode: 'documents', asked: sopInstanceUids.length, instances: rows.length, notGiven: refused.length,
        bytes: rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), authorisationId: grant.grantId, ...(taskId !== undefined && { taskId }),
      },
    }) // prettier-ignore
  }

  #answers({ ownerHospital, sopInstanceUids }: AskDocuments, outcomes: ReadonlyMap<string, Outcome>): DocumentAnswers {
    const documents = [...new Set(sopInstanceUids)].map((uid) => answerOf(uid, outcomes.get(uid) ?? { errorCode: 'XDSDocumentUniqueIdError', code: 'archive/unknown-instance' }))
    const given = documents.filter(({ state }) => state === 'given').length
    return { status: documentStatus(given, documents.length - given), repositoryUniqueId: ownerHospital, documents }
  }
}

type Outcome = { readonly row: InstanceRow; readonly wasHere: boolean } | { readonly errorCode: DocumentErrorCode; readonly code: ProblemCode }

/** A hospital with a newer version may have reasons that we have no words for. */
const known = (code: string): ProblemCode => (isProblemCode(code) ? code : 'archive/failed')

const repositoryError = (code: ProblemCode): Outcome => ({ errorCode: 'XDSRepositoryError', code })

async function outcomesIn(archive: Archive, ask: AskDocuments): Promise<Map<string, Outcome>> {
  const { documents, failures } = await findDocuments(archive, ask)
  const outcomes = new Map<string, Outcome>(failures.map(({ sopInstanceUid, ...failure }) => [sopInstanceUid, failure]))
  for (const { sopInstanceUid } of documents) {
    const row = await archive.instance(sopInstanceUid)
    if (row) outcomes.set(sopInstanceUid, { row, wasHere: true })
  }
  return outcomes
}

function answerOf(sopInstanceUid: SopInstanceUid, outcome: Outcome): DocumentAnswer {
  if (!('row' in outcome)) {
    const { zh, en } = answers[outcome.code]
    return { state: 'refused', sopInstanceUid, errorCode: outcome.errorCode, code: outcome.code, title: zh, titleEn: en }
  }
  const { studyInstanceUid, seriesInstanceUid, transferSyntaxUid, sizeBytes } = outcome.row
  const retrieveUrl = `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`
  return { state: 'given', sopInstanceUid, seriesInstanceUid, transferSyntaxUid, sizeBytes, retrieveUrl, wasHere: outcome.wasHere }
}
