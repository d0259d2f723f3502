import type { Log, User } from 'service-kit'
import type { LiveEvent, TaskId } from 'specs'
import type { Consult } from '../consult/consult.ts'
import { holders, isAdministrator, type Audience, type StudyAudience } from './study-audience.ts'

export interface LiveAudienceParts {
  readonly studies: Pick<StudyAudience, 'ofExam' | 'ofConsult' | 'ofStudy'>
  readonly consultOf: (taskId: TaskId) => Promise<Consult | undefined>
  readonly publish: (event: LiveEvent, forWhom: (user: User) => boolean) => void
  readonly log: Log
}

interface Telling {
  readonly event: LiveEvent
  readonly forWhom: Audience
}

const everybody: Audience = () => true

/**
 * Live events name exams and tasks, so they reach only those who may have them on a list. Asked for each listener at the moment of the
 * event, and again with the rules of then when somebody reconnects and is told what was missed. Who looks after the services hears that
 * something happened, without the study.
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
        for (const telling of await this.#tellings(event)) publish(telling.event, telling.forWhom)
      } catch (error) {
        log.warn({ err: error, type: event.type }, 'live event not told')
      }
    })
  }

  async #tellings(event: LiveEvent): Promise<Telling[]> {
    const { studies, consultOf } = this.#parts
    switch (event.type) {
      case 'exam':
        return [{ event, forWhom: await studies.ofExam({ examId: event.examId }) }]
      case 'consult':
        return [{ event, forWhom: await studies.ofConsult(await consultOf(event.taskId as TaskId)) }]
      case 'transfer': {
        const listers = await studies.ofStudy(event.studyInstanceUid)
        const isReader = holders('image.view', 'consult.process', 'consult.apply', 'system.configure', 'system.monitor', 'device.watch')
        return [
          { event, forWhom: (user) => isReader(user) && listers(user) },
          { event: { ...event, studyInstanceUid: '' }, forWhom: (user) => isAdministrator(user) && !listers(user) },
        ]
      }
      case 'grant': {
        const listers = await Promise.all(event.studyInstanceUids.map((study) => studies.ofStudy(study)))
        const isKeeper = holders('grant.manage')
        const isReader = holders('region.search', 'consult.process', 'image.view', 'patient.consent')
        const mayKnow: Audience = (user) => isKeeper(user) || (isReader(user) && listers.every((may) => may(user)))
        // The list of consents follows grants, too; whose study it is, is told by neither.
        return [
          { event, forWhom: mayKnow },
          { event: { ...event, studyInstanceUids: [] }, forWhom: (user) => holders('patient.consent')(user) && !mayKnow(user) },
        ]
      }
      case 'forward': {
        const listers = await studies.ofStudy(event.studyInstanceUid)
        const isCaretaker = holders('system.configure', 'system.monitor', 'device.watch')
        return [
          { event, forWhom: (user) => isCaretaker(user) && listers(user) },
          { event: { ...event, studyInstanceUid: '' }, forWhom: (user) => isCaretaker(user) && !listers(user) },
        ]
      }
      case 'routing':
      case 'acquisition':
        return [{ event, forWhom: holders('system.configure', 'system.monitor', 'device.watch') }]
      case 'import':
        return [{ event, forWhom: holders('image.store', 'system.configure', 'system.monitor') }]
      case 'break-glass':
        return [{ event, forWhom: holders('break-glass.review', 'security.overview') }]
      case 'rule':
        return [{ event, forWhom: holders('rule.manage', 'security.overview') }]
      default:
        return [{ event, forWhom: everybody }] // states of the service: nothing of a patient
    }
  }
}
