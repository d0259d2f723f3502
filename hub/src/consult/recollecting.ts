import type { AuditTrail, Database, Link, Log } from 'service-kit'
import { ConsultOrder, parseWith, services, type EpochMs, type HospitalId } from 'specs'
import { keepOrder, newestStepAt } from './recollection.ts'
import type { ConsultService } from './service.ts'

const DAY_MS = 86_400_000
/** A node's answer is waited for before its sync is answered: what it sends again comes after its memory. */
const TIMEOUT_MS = 3_000
const MOST_TRIES = 3

export interface RecollectingParts {
  readonly db: Database
  readonly link: () => Pick<Link, 'request'>
  readonly consults: Pick<ConsultService, 'giveUpWaiting'>
  readonly audit: Pick<AuditTrail, 'note'>
  readonly log: Log
  readonly now: () => EpochMs
}

/** After its start the hub asks every node once which order of commands it remembers; only a hub that lost some hears anything new. */
export class Recollecting {
  readonly #parts: RecollectingParts
  readonly #tries = new Map<HospitalId, number>()

  constructor(parts: RecollectingParts) {
    this.#parts = parts
  }

  /** Called at each sync of a node, before it is answered. Never fails: a node that cannot tell is served all the same. */
  async ask(hospitalId: HospitalId): Promise<void> {
    const { log } = this.#parts
    const tries = this.#tries.get(hospitalId) ?? 0
    if (tries >= MOST_TRIES) return
    this.#tries.set(hospitalId, tries + 1)
    try {
      const kept = await this.#ask(hospitalId)
      this.#tries.set(hospitalId, MOST_TRIES)
      if (kept > 0) this.#tell(hospitalId, kept)
    } catch (error) {
      log.debug({ err: error, hospitalId }, 'this node was not asked for the order of commands')
    }
  }

  /** A day without the missing steps is enough: then the rest of their tasks goes on. */
  async giveUp(): Promise<void> {
    const { consults, db, log, now } = this.#parts
    const tasks = await consults.giveUpWaiting(db, now() - DAY_MS)
    if (tasks > 0) log.warn({ tasks }, 'consultations go on without steps that nobody sent again')
  }

  async #ask(hospitalId: HospitalId): Promise<number> {
    const { db, link, now } = this.#parts
    const since = Math.max(0, (await newestStepAt(db)) - DAY_MS)
    const answer = await link().request(hospitalId, services.consultOrder, { since }, { timeoutMs: TIMEOUT_MS })
    const { steps } = parseWith(ConsultOrder, answer, services.consultOrder)
    const rows = await db.all<{ taskId: string; revision: number }>('SELECT task_id AS "taskId", revision FROM consult_task WHERE updated_at >= $1', [since])
    const held = new Map(rows.map(({ taskId, revision }) => [taskId, revision]))
    const news = steps.filter(({ taskId, revision }) => revision > (held.get(taskId) ?? 0))
    return news.length === 0 ? 0 : db.write((tx) => keepOrder(tx, news, now()))
  }

  #tell(hospitalId: HospitalId, steps: number): void {
    const { audit, log } = this.#parts
    log.warn({ hospitalId, steps }, 'this node remembers steps of consultations that the ledger has lost; they are put back as they come again')
    audit.note({ action: 'system.recovery', outcome: 'success', actor: { kind: 'hospital', id: hospitalId, hospitalId }, object: { type: 'component', id: 'consult' }, facts: { operation: 'recollection', steps } })
  }
}
