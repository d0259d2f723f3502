import type { Database } from 'service-kit'
import { isProblem, Problem, StudyInstanceUid } from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { Consult } from '../consult/consult.ts'
import type { Consults } from '../consult/consults.ts'
import { knownOf } from '../consult/key-images.ts'
import { consultsOfStudy } from '../consult/store.ts'
import type { HeldExams } from '../cross-hospital/held-exams.ts'
import { archiveStudyAccess } from '../dicomweb/local-study.ts'
import type { Storing, StudyAccess, StudySource, Viewer } from '../dicomweb/study-source.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { RemoteStudyAccess } from '../transfer/remote-study.ts'
import { noteOpened } from '../transfer/store.ts'
import type { AccessControl } from './access-control.ts'
import type { ImageExports } from './image-export.ts'
import { requireSearchKey, type ListingPolicy } from './policy/search-key.ts'
import type { ExamRegister } from './register-facts.ts'

export interface NodeStudySourceParts {
  readonly db: Database
  readonly access: AccessControl
  readonly inHospital: Archive
  readonly regional: Archive
  readonly transfers: TransferEngine
  readonly consults: Consults
  readonly register: ExamRegister
  /** Other hospitals' exams that people here hold grants for. */
  readonly held?: Pick<HeldExams, 'forStudy' | 'refuseEnded'>
  readonly exports?: ImageExports
  /** Whether studies may be listed without a search key (SEC-05). */
  readonly listing?: ListingPolicy
  readonly now?: () => number
}

/** Keys by which a search names somebody instead of asking who there is (SEC-05). */
const naming = ['PatientID', 'PatientName', 'AccessionNumber', 'StudyInstanceUID', 'StudyID']

/**
 * What DICOMweb and WADO may show to whom: our own studies, and those of other hospitals that a consultation entrusts to
 * us or a grant gives to this person, wherever their images are at the moment.
 */
export class NodeStudySource implements StudySource {
  readonly #parts: NodeStudySourceParts

  constructor(parts: NodeStudySourceParts) {
    this.#parts = parts
  }

  /** Only our own studies are listed: an entrusted one is found through its task. */
  async qido(user: Viewer, match: Readonly<Record<string, string>>): Promise<readonly Archive[]> {
    const { access, inHospital, listing = 'open' } = this.#parts
    requireSearchKey(listing, naming.map((keyword) => match[keyword])) // prettier-ignore
    await access.admitUser(user, 'list', { owner: access.hospitalId, kept: 'in-hospital' }, { action: 'study.search', by: match })
    return [inHospital]
  }

  async permitted(user: Viewer, _archive: Archive, studies: readonly string[]): Promise<ReadonlySet<string>> {
    const { register, access } = this.#parts
    return register.permitted(studies, access.conditionFor(user, 'list'))
  }

  async allPermitted(user: Viewer, _archive: Archive, most: number): Promise<readonly string[] | undefined> {
    const { register, access } = this.#parts
    return register.allPermitted(access.conditionFor(user, 'list'), most)
  }

  async storing(user: Viewer): Promise<Storing> {
    const { access, inHospital } = this.#parts
    await access.admitUser(user, 'store', { owner: access.hospitalId, kept: 'in-hospital' })
    const admitted = new Set<StudyInstanceUid>()
    return {
      archive: inHospital,
      async admit(study) {
        if (admitted.has(study)) return
        await access.admitStoring(user, study)
        admitted.add(study)
      },
    }
  }

  async forStudy(user: Viewer, studyInstanceUid: string, doing: 'view' | 'export' = 'view', reason = ''): Promise<StudyAccess> {
    const { db, access, inHospital, regional, now = Date.now } = this.#parts
    const own = await inHospital.study(studyInstanceUid)
    if (own) {
      await access.admitUser(user, doing, { owner: access.hospitalId, study: own.studyInstanceUid, kept: 'in-hospital' })
      if (doing === 'export') await this.#parts.exports?.begin({ accountId: user.id, study: studyInstanceUid, owner: access.hospitalId, reason })
      return archiveStudyAccess(inHospital, studyInstanceUid)
    }
    const study = StudyInstanceUid.safeParse(studyInstanceUid).data
    const given = study && (await this.#parts.held?.forStudy(user, study, doing))
    if (given) return given
    const consult = await this.#entrusting(user, studyInstanceUid, doing).catch(async (refusal: unknown) => {
      if (study) await this.#parts.held?.refuseEnded(user, study, doing)
      throw refusal
    })
    await noteOpened(db, studyInstanceUid, now())
    const job = await this.#job(user, consult, studyInstanceUid)
    if (job.state === 'complete' && (await regional.study(studyInstanceUid))) return archiveStudyAccess(regional, studyInstanceUid)
    return new RemoteStudyAccess({ job, archive: regional, engine: this.#parts.transfers, known: knownOf(consult) })
  }

  /** The consultation that entitles this person, the newest first. @throws {Problem} access/…, archive/unknown-study */
  async #entrusting(user: Viewer, studyInstanceUid: string, doing: 'view' | 'export'): Promise<Consult> {
    const consults = (await consultsOfStudy(this.#parts.db, studyInstanceUid)).filter((consult) => consult.side !== 'submitter')
    let refusal: Problem | undefined
    for (const consult of consults) {
      const study = consult.facts.studyInstanceUids.find((uid) => uid === studyInstanceUid)
      try {
        await this.#parts.access.admitUser(user, doing, { owner: consult.submitter, study, kept: 'regional' })
        return consult
      } catch (error) {
        if (!isProblem(error)) throw error
        refusal ??= error
      }
    }
    throw refusal ?? new Problem('archive/unknown-study', { studyInstanceUid })
  }

  /** Opening is what makes a pull begin; one that failed or left the cache begins again. */
  async #job(user: Viewer, consult: Consult, studyInstanceUid: string) {
    const { transfers, regional, consults } = this.#parts
    const known = await transfers.jobOfStudy(studyInstanceUid, consult.submitter)
    const isUnderWay = known && (known.state === 'waiting' || known.state === 'running')
    const isHere = known?.state === 'complete' && (await regional.study(studyInstanceUid))
    if (isUnderWay || isHere) return known
    await consults.wantImages(consult, 'pull', user)
    const job = await transfers.jobOfStudy(studyInstanceUid, consult.submitter)
    if (!job) throw new Problem('archive/unknown-study', { studyInstanceUid })
    return job
  }
}
