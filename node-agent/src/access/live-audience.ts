import { hasRight, type Log, type User } from 'service-kit'
import type { LiveEvent, Right, TaskId } from 'specs'
import type { Consult } from '../consult/consult.ts'
import type { AccessControl } from './access-control.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import type { ExamKey } from './register-facts.ts'

export interface LiveAudienceParts {
  readonly access: AccessControl
  readonly factsOf: (exam: ExamKey) => Promise<ExamFacts | undefined>
  readonly consultOf: (taskId: TaskId) => Promise<Consult | undefined>
  readonly publish: (event: LiveEvent, forWhom: (user: User) => boolean) => void
  readonly log: Log
}

type Audience = (user: User) => boolean

const holders =
  (...rights: readonly Right[]): Audience =>
  (user) =>
    rights.some((right) => hasRight(user, right))
const everybody: Audience = () => true
const nobody: Audience = () => false

/**
 * Live events name exams and tasks, so they reach only those who may have them on a list. Asked for each listener at the moment of the
 * event, and again with the rules of then when somebody reconnects and is told what was missed.
 */
export class LiveAudience {
  readonly #parts: LiveAudienceParts
  /** Events keep their order although some have to look something up. */
  #last: Promise<void> = Promise.resolve()

  constructor(parts: LiveAudienceParts) {
    this.#parts = parts
  }

  publish(event: LiveEvent): void {
    const { publish, log } = this.#parts
    this.#last = this.#last.then(async () => {
      try {
        publish(event, await this.#of(event))
      } catch (error) {
        log.warn({ err: error, type: event.type }, 'live event not told')
      }
    })
  }

  async #of(event: LiveEvent): Promise<Audience> {
    switch (event.type) {
      case 'exam':
        return this.#listersOf(await this.#parts.factsOf({ examId: event.examId }))
      case 'consult':
        return this.#listersOfConsult(await this.#parts.consultOf(event.taskId as TaskId))
      case 'transfer':
        return holders('image.view', 'consult.process', 'system.configure', 'system.monitor', 'device.watch')
      case 'forward':
        return holders('system.configure', 'system.monitor', 'device.watch')
      case 'break-glass':
        return holders('break-glass.review', 'security.overview')
      case 'rule':
        return holders('rule.manage', 'security.overview')
      case 'grant':
        return holders('grant.manage', 'patient.consent', 'region.search', 'consult.process', 'image.view')
      default:
        return everybody // states of the service: nothing of a patient
    }
  }

  #listersOf(facts: ExamFacts | undefined): Audience {
    return facts === undefined ? nobody : (user) => this.#parts.access.maySee(user, 'list', facts)
  }

  async #listersOfConsult(consult: Consult | undefined): Promise<Audience> {
    if (consult === undefined) return nobody
    if (consult.side === 'data-centre') return holders('consult.process', 'image.view')
    if (consult.side === 'processor') return holders('consult.process')
    const study = consult.facts.studyInstanceUids[0]
    return this.#listersOf(await this.#parts.factsOf(consult.examId === null ? { study } : { examId: consult.examId }))
  }
}
