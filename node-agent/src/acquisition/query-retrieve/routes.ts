import type { AuditTrail, Database, HttpFace, Transaction, User } from 'service-kit'
import { AcquiredStudy, AcquisitionJob, AcquisitionJobInput, AcquisitionRun, Problem } from 'specs'
import { z } from 'zod'
import type { StudyAudience } from '../../access/study-audience.ts'
import { listNodes, readNode } from '../../dicom-node/store.ts'
import type { Acquisition } from './engine.ts'
import { nextRunOf } from './schedule.ts'
import { type KeptJob, listJobs, listRuns, listStudies, readJob, readRemoved, readRun, removeJob, saveJob } from './store.ts'

export interface AcquisitionRoutes {
  readonly db: Database
  readonly acquisition: Acquisition
  readonly audience: Pick<StudyAudience, 'ofStudy'>
  readonly audit: AuditTrail
  readonly now?: () => number
}

const administrators = ['system.configure'] as const
const caretakers = ['system.configure', 'device.watch'] as const
const JobId = z.object({ jobId: z.string().max(64) })
const RunId = z.object({ runId: z.string().max(64) })

/** 主动获取 (ARC-04): jobs, their runs, and what became of every study. */
export function addAcquisitionRoutes(face: HttpFace, { db, acquisition, audience, audit, now = Date.now }: AcquisitionRoutes): void {
  const tell = (tx: Transaction, id: string, before: unknown, after: unknown) =>
    audit.within(tx, { action: 'config.acquisition', outcome: 'success', object: { type: 'config', id: `acquisition/${id}` }, before, after })

  async function shown(jobs: readonly KeptJob[]): Promise<AcquisitionJob[]> {
    const nodes = new Map((await listNodes(db)).map(({ id, aeTitle }) => [id, aeTitle]))
    return Promise.all(
      jobs.map(async (job) => {
        const [lastRun = null] = await listRuns(db, { jobId: job.id, limit: 1 })
        return { ...job, aeTitle: nodes.get(job.sourceNodeId) ?? '', lastRun }
      }),
    )
  }
  /** A switched-off job has no next run. */
  const nextOf = (job: AcquisitionJobInput) => {
    const next = nextRunOf(job.schedule, now())
    return job.enabled ? next : null
  }
  async function save(id: string | undefined, job: AcquisitionJobInput): Promise<AcquisitionJob> {
    if (job.selection.dates.kind === 'between' && job.selection.dates.from > job.selection.dates.to) throw new Problem('request/invalid', { what: 'body', issues: [{ path: 'selection.dates', message: 'from > to' }] })
    const saved = await db.write(async (tx) => {
      await readNode(tx, job.sourceNodeId)
      const before = id === undefined ? undefined : await readJob(tx, id)
      const kept = await saveJob(tx, id, job, nextOf(job), now())
      await tell(tx, kept.id, before, job)
      return kept
    })
    acquisition.reschedule()
    return (await shown([saved]))[0]!
  }

  face.route({ method: 'GET', path: '/api/acquisition/jobs', summary: '主动获取任务 / Jobs of active acquisition', allow: caretakers, answer: z.array(AcquisitionJob) }, async () => shown(await listJobs(db)))
  face.route({ method: 'POST', path: '/api/acquisition/jobs', summary: 'Make a job', allow: administrators, body: AcquisitionJobInput, answer: AcquisitionJob }, async ({ body }) => ({ status: 201, body: await save(undefined, body) }))
  face.route({ method: 'PUT', path: '/api/acquisition/jobs/:jobId', summary: 'Change a job', allow: administrators, params: JobId, body: AcquisitionJobInput, answer: AcquisitionJob }, ({ params, body }) => save(params.jobId, body))
  face.route({ method: 'DELETE', path: '/api/acquisition/jobs/:jobId', summary: 'Remove a job; it can be taken back', allow: administrators, params: JobId }, async ({ params }) => {
    await db.write(async (tx) => {
      const before = await readJob(tx, params.jobId)
      await removeJob(tx, params.jobId, now())
      await tell(tx, params.jobId, before, undefined)
    })
    acquisition.reschedule()
    return { status: 204 }
  })
  face.route({ method: 'POST', path: '/api/acquisition/jobs/:jobId/restore', summary: 'Take the removal of a job back', allow: administrators, params: JobId, answer: AcquisitionJob }, async ({ params }) => {
    const job = await readRemoved(db, params.jobId)
    const kept = await db.write(async (tx) => {
      await tell(tx, params.jobId, undefined, job)
      return saveJob(tx, params.jobId, job, nextOf(job), now())
    })
    acquisition.reschedule()
    return (await shown([kept]))[0]
  })
  face.route({ method: 'POST', path: '/api/acquisition/jobs/:jobId/run', summary: 'Run a job now', allow: caretakers, params: JobId, answer: AcquisitionRun }, async ({ params }) => {
    const runId = await acquisition.runNow(params.jobId)
    const [run] = await listRuns(db, { runId, limit: 1 })
    return { status: 201, body: run }
  })

  face.route({ method: 'GET', path: '/api/acquisition/runs', summary: 'Runs, newest first', allow: caretakers, query: z.object({ jobId: z.string().max(64).optional(), limit: z.coerce.number().int().min(1).max(200).default(50) }), answer: z.array(AcquisitionRun) }, ({ query }) => listRuns(db, query))
  face.route({ method: 'GET', path: '/api/acquisition/runs/:runId/studies', summary: 'What became of each study of a run', allow: caretakers, params: RunId, answer: z.array(AcquiredStudy) }, async ({ params, user }) => {
    await readRun(db, params.runId)
    return Promise.all((await listStudies(db, params.runId)).map((study) => maskedFor(user, study)))
  })
  /** Whose study it is only for whoever may have it on a list; that something is missing, for whoever looks after the devices. */
  async function maskedFor(user: User, study: AcquiredStudy & { readonly studyInstanceUid: string }): Promise<AcquiredStudy> {
    return (await audience.ofStudy(study.studyInstanceUid))(user) ? study : { ...study, studyInstanceUid: null, missing: [] }
  }
  const ends = [
    ['cancel', 'Break a run off; what has come stays'],
    ['retry', 'Ask once more for what is missing'],
  ] as const
  for (const [verb, summary] of ends)
    face.route({ method: 'POST', path: `/api/acquisition/runs/:runId/${verb}`, summary, allow: caretakers, params: RunId, answer: AcquisitionRun }, async ({ params }) => {
      await acquisition[verb](params.runId)
      const [run] = await listRuns(db, { runId: params.runId, limit: 1 })
      return run
    })
}
