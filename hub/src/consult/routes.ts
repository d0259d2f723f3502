import type { Database, HttpFace } from 'service-kit'
import { ConsultState, HospitalId, Page, Problem, RegionId, TaskDetail, TaskId, TaskRow } from 'specs'
import { z } from 'zod'
import { optionalFilter, PageQuery } from '../page-query.ts'
import { listTasks, readTask, readTimeline } from './store.ts'
import type { Task } from './task.ts'

const TaskQuery = PageQuery.extend({
  state: optionalFilter(ConsultState),
  submitter: optionalFilter(HospitalId),
  processor: optionalFilter(HospitalId),
  regionId: optionalFilter(RegionId),
})
const readers = ['region.watch'] as const

/** The console looks on; tasks are moved by the hospitals alone, through sealed commands. */
export function consultRoutes(face: HttpFace, db: Database): void {
  face.route(
    {
      method: 'GET',
      path: '/api/tasks',
      summary: 'Consultations of the region, newest first',
      allow: readers,
      query: TaskQuery,
      answer: Page(TaskRow),
    },
    async ({ query }) => {
      const page = await listTasks(db, query)
      return { ...page, rows: page.rows.map(rowOf) }
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/tasks/:taskId',
      summary: 'One consultation with its time line',
      allow: readers,
      params: z.object({ taskId: TaskId }),
      answer: TaskDetail,
    },
    async ({ params: { taskId } }) => {
      const task = await readTask(db, taskId)
      if (!task) throw new Problem('consult/unknown-task', { taskId })
      return { ...rowOf(task), events: await readTimeline(db, taskId) }
    },
  )
}

export function rowOf(task: Task): TaskRow {
  const { grant: _, ...facts } = task.facts
  const { id: taskId, regionId, submitter, state, revision, createdAt, updatedAt } = task
  const imagesArrivedAt = [...task.imagesArrivedAt]
  return { taskId, regionId, submitter, state, revision, holder: task.holder ?? null, facts, createdAt, updatedAt, imagesArrivedAt }
}
