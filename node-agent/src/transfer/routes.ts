import type { AuditTrail, Database, HttpFace, User } from 'service-kit'
import { answers, isProblemCode, Page, Problem, TransferRow, type HospitalId, type ProblemNote } from 'specs'
import { z } from 'zod'
import { isAdministrator, type StudyAudience } from '../access/study-audience.ts'
import type { TransferEngine } from './engine.ts'
import type { TransferJob } from './job.ts'
import type { TransferOwner } from './owner.ts'
import { findJob, listJobs } from './store.ts'

export function titleOf(note: ProblemNote): { code: string; title: string } {
  return { code: note.code, title: isProblemCode(note.code) ? answers[note.code].zh : note.code }
}

export function rowOf(job: TransferJob): TransferRow {
  const { regionId: _r, grant: _g, requester: _p, sources: _s, attempts: _a, nextAttemptAt: _n, problem, ...row } = job
  return { ...row, direction: 'in', problem: problem && titleOf(problem) }
}

export interface TransferRoutes {
  readonly db: Database
  readonly engine: TransferEngine
  readonly owner: TransferOwner
  readonly audience: StudyAudience
  readonly hospitalId: HospitalId
  readonly audit?: AuditTrail
}

const SHOWN = 200
/** Rows looked through for somebody who may see few of them. */
const LOOKED_THROUGH = 2_000

/**
 * Images on their way, for whoever may have their study on a list; whoever looks after the services sees every transfer, and the study only
 * where it may be on a list of theirs. Nothing tells how many others there are.
 */
export function addTransferRoutes(face: HttpFace, { db, engine, owner, audience, hospitalId, audit }: TransferRoutes): void {
  const params = z.object({ id: z.uuid() })

  async function shown(user: User, rows: readonly TransferRow[]): Promise<TransferRow[]> {
    const may = new Map<string, boolean>()
    const told: TransferRow[] = []
    for (const row of rows) {
      const key = `${row.owner} ${row.studyInstanceUid}`
      const isListed = may.get(key) ?? (await audience.ofStudy(row.studyInstanceUid ?? '', row.owner, 'listed'))(user)
      may.set(key, isListed)
      if (isListed) told.push(row)
      else if (isAdministrator(user)) told.push({ ...row, studyInstanceUid: null })
    }
    return told
  }

  face.route(
    { method: 'GET', path: '/api/transfers', summary: 'Images on their way, newest first', allow: ['image.view', 'consult.apply', 'consult.process', 'system.configure', 'system.monitor', 'device.watch'], answer: Page(TransferRow) },
    async ({ user }) => {
      const rows = await shown(user, owner.outgoing())
      for (let offset = 0, found = 0; offset < LOOKED_THROUGH && found < SHOWN; offset += SHOWN) {
        const jobs = await listJobs(db, SHOWN, offset)
        const told = await shown(user, jobs.map(rowOf)) // prettier-ignore
        rows.push(...told)
        found += told.length
        if (jobs.length < SHOWN) break
      }
      rows.sort((a, b) => b.updatedAt - a.updatedAt)
      return { rows, total: rows.length, next: null }
    },
  )

  /** The transfer of a study that is none of the asker's business is answered like one that does not exist. @throws {Problem} request/not-found */
  async function admit(user: User, transferId: string): Promise<void> {
    const job = await findJob(db, transferId)
    if (!job) throw new Problem('request/not-found', { transferId })
    if (isAdministrator(user)) return
    const { studyInstanceUid: study, owner: of } = job
    if ((await audience.ofStudy(study, of, 'listed'))(user)) return
    audit?.note({ action: 'access.refused', outcome: 'refused', code: 'access/out-of-scope', object: { type: 'study', id: study, owner: of }, facts: { transferId, node: hospitalId } })
    throw new Problem('request/not-found', { transferId })
  }
  face.route(
    { method: 'POST', path: '/api/transfers/:id/cancel', summary: 'Stop a transfer', allow: ['image.view', 'system.configure'], params },
    async ({ user, params: { id } }) => {
      await admit(user, id)
      await engine.cancel(id, 'asked')
    },
  )
  face.route(
    { method: 'POST', path: '/api/transfers/:id/retry', summary: 'Try a failed transfer again', allow: ['image.view', 'system.configure'], params },
    async ({ user, params: { id } }) => {
      await admit(user, id)
      await engine.retry(id)
    },
  )
}
