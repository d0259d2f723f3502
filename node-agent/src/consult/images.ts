import type { Queries } from 'service-kit'
import type { ConsultRow } from 'specs'
import { jobsOfStudy } from '../transfer/store.ts'
import type { Consult } from './consult.ts'

/** How much of the task's images is at this node. The submitter always has its own. */
export async function imagesOf(db: Queries, consult: Consult): Promise<ConsultRow['images']> {
  const total = consult.facts.instanceCount
  if (consult.side === 'submitter') return { held: total, total, state: 'complete' }
  const jobs = (await Promise.all(consult.facts.studyInstanceUids.map((study) => jobsOfStudy(db, study))))
    .flat()
    .filter((job) => job.owner === consult.submitter)
  if (jobs.length === 0) return { held: 0, total, state: 'none' }
  const held = jobs.reduce((sum, job) => sum + job.instancesDone, 0)
  const known = jobs.reduce((sum, job) => sum + job.instancesTotal, 0)
  const states = new Set(jobs.map((job) => job.state))
  const state = states.has('failed')
    ? 'failed'
    : states.has('running')
      ? 'running'
      : states.has('waiting')
        ? 'waiting'
        : states.has('complete')
          ? 'complete'
          : 'none'
  return { held, total: known > 0 ? known : total, state }
}
