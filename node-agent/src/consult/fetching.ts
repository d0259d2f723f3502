import type { Database } from 'service-kit'
import type { HospitalId } from 'specs'
import { assertedPersonOf, type Asserted } from '../assertion/assert.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { markAnnounced, unannouncedTasks } from '../transfer/store.ts'
import type { CommandDesk } from './command-desk.ts'
import { taskViewOf, type Consult } from './consult.ts'
import { consultsOfStudy, findConsult } from './store.ts'

export interface ConsultImagesParts {
  readonly db: Database
  readonly transfers: TransferEngine
  readonly hospitalId: HospitalId
  readonly desk: CommandDesk
}

/** The images of consultations on their way here: wished for, stopped when nobody here needs them any more, told when complete. */
export class ConsultImages {
  readonly #parts: ConsultImagesParts

  constructor(parts: ConsultImagesParts) {
    this.#parts = parts
  }

  /** Asks for every study of the task; what is here already is not fetched again. */
  async want(consult: Consult, purpose: 'pull' | 'prefetch', user: Asserted): Promise<void> {
    const { db, transfers } = this.#parts
    await db.write(async (tx) => {
      for (const studyInstanceUid of consult.facts.studyInstanceUids) {
        await transfers.wish(tx, { ...wishOf(consult), studyInstanceUid, purpose, requester: { person: assertedPersonOf(user) } })
      }
    })
  }

  /** The task went to another hospital, or ended; a study that another open task needs goes on. */
  stopFor(consult: Consult): Promise<void> {
    const { db, transfers, hospitalId } = this.#parts
    return transfers.cancelForTask(consult.taskId, async (job) => {
      const others = await consultsOfStudy(db, job.studyInstanceUid)
      return others.some((other) => other.taskId !== consult.taskId && other.submitter === job.owner && isOpenHere(other, hospitalId))
    })
  }

  /** Whoever asked for images in the region's name tells the region that they are here. */
  async announce(): Promise<void> {
    const { db, desk } = this.#parts
    for (const { transferId, taskId, instanceCount, sizeBytes } of await unannouncedTasks(db)) {
      await db.write(async (tx) => {
        const consult = await findConsult(tx, taskId)
        await markAnnounced(tx, transferId, taskId)
        if (!consult || consult.side === 'submitter' || consult.state === 'cancelled' || consult.state === 'declined') return
        await desk.post(tx, consult, desk.agent, { type: 'images-arrived', instanceCount, sizeBytes })
      })
    }
  }
}

/** A data centre that has the images is as good as their owner, and nearer. */
function wishOf(consult: Consult) {
  const { taskId, regionId, submitter, facts, imagesArrivedAt } = consult
  const centres = facts.imagesTo === 'data-centre' ? imagesArrivedAt.filter((id) => !consult.offeredTo.includes(id)) : []
  return { taskId, regionId, owner: submitter, sources: [...centres, submitter], grant: facts.grant }
}

function isOpenHere(consult: Consult, hospitalId: HospitalId): boolean {
  const { state, holder, offeredTo } = taskViewOf(consult)
  if (state === 'cancelled' || state === 'declined') return false
  return consult.side === 'data-centre' || (holder === null ? offeredTo.includes(hospitalId) : holder.hospitalId === hospitalId)
}
