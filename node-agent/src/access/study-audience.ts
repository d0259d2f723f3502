import { hasRight, type User } from 'service-kit'
import type { EpochMs, HospitalId, Right, StudyInstanceUid } from 'specs'
import { isListed, type Consult } from '../consult/consult.ts'
import type { AccessControl } from './access-control.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import type { ExamKey } from './register-facts.ts'
import type { HeldGrant } from './shared.ts'

export interface StudyAudienceParts {
  readonly access: Pick<AccessControl, 'hospitalId' | 'maySee' | 'mayListTask'>
  readonly factsOf: (exam: ExamKey) => Promise<ExamFacts | undefined>
  readonly consultsOfStudy: (study: string) => Promise<readonly Consult[]>
  readonly heldGrants: (study: string) => Promise<readonly HeldGrant[]>
  readonly now?: () => EpochMs
}

/** Whether one person is meant; asked for each listener or row, so it looks nothing up. */
export type Audience = (user: User) => boolean

export const holders =
  (...rights: readonly Right[]): Audience =>
  (user) =>
    rights.some((right) => hasRight(user, right))

/** Who looks after the services of the node: they see that something moves, not whose images it is. */
export const isAdministrator: Audience = holders('system.configure', 'system.monitor')
const nobody: Audience = () => false

/**
 * Who may have a study, or a task, on a list, whatever the list is of: transfers, refusals, messages, live events. The same answer as
 * the lists of exams and of consultations give (rule 9), so that nothing is told beside them that they keep back.
 */
export class StudyAudience {
  readonly #parts: StudyAudienceParts
  readonly #now: () => EpochMs

  constructor(parts: StudyAudienceParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  async ofExam(exam: ExamKey): Promise<Audience> {
    return this.#listersOf(await this.#parts.factsOf(exam))
  }

  async ofConsult(consult: Consult | undefined): Promise<Audience> {
    if (consult === undefined) return nobody
    if (consult.side !== 'submitter') return this.#listersOfForeign(consult)
    const study = consult.facts.studyInstanceUids[0]
    return this.ofExam(consult.examId === null ? { study } : { examId: consult.examId })
  }

  /**
   * @param owner the hospital the study belongs to; undefined where the news does not say.
   * @param now `listed`: a task that has left the lists here no longer counts; `known`: whoever had it on a list may hear how it ends.
   */
  async ofStudy(study: StudyInstanceUid | string, owner?: HospitalId, now: 'listed' | 'known' = 'known'): Promise<Audience> {
    const { access, factsOf, consultsOfStudy, heldGrants } = this.#parts
    const { hospitalId } = access
    const isMeant = (by: HospitalId) => owner === undefined || owner === by
    const own = isMeant(hospitalId) ? this.#listersOf(await factsOf({ study: study as StudyInstanceUid })) : nobody
    const consults = (await consultsOfStudy(study)).filter((consult) => consult.side !== 'submitter' && isMeant(consult.submitter) && (now === 'known' || isListed(consult, hospitalId)))
    const byTask = consults.map((consult) => this.#listersOfForeign(consult))
    const persons = new Set((await heldGrants(study)).filter((grant) => isMeant(grant.owner) && grant.withdrawnAt === null && this.#now() < grant.expires).map(({ person }) => person as string))
    return (user) => own(user) || byTask.some((listers) => listers(user)) || (persons.has(user.id) && hasRight(user, 'region.search'))
  }

  #listersOf(facts: ExamFacts | undefined): Audience {
    return facts === undefined ? nobody : (user) => this.#parts.access.maySee(user, 'list', facts)
  }

  /** What passes through a data centre shows no patient to its people. */
  #listersOfForeign({ side, facts: { modality } }: Consult): Audience {
    const listers: Audience = (user) => this.#parts.access.mayListTask(user, modality)
    return side === 'data-centre' ? (user) => hasRight(user, 'image.view') || isAdministrator(user) || listers(user) : listers
  }
}
