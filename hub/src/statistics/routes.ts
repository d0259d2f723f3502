import type { Database, HttpFace } from 'service-kit'
import { RegionStatistics, StatisticsQuery } from 'specs'

const DAY_MS = 86_400_000

/** 卫生主管部门's view (SEC-04): how much was done, by whom and how quickly; no patient, no exam. */
export function statisticsRoutes(face: HttpFace, { db, now }: { db: Database; now: () => number }): void {
  face.route(
    {
      method: 'GET',
      path: '/api/statistics',
      summary: 'Consultations of the region in figures, without identities',
      allow: ['statistics.read', 'region.watch'],
      query: StatisticsQuery,
      answer: RegionStatistics,
    },
    async ({ query: { from = now() - 365 * DAY_MS, until = now() } }) => {
      const tasks = await db.all<{ submitter: string; state: string; count: number }>(
        `SELECT submitter, state, COUNT(*) AS "count" FROM consult_task WHERE created_at >= $1 AND created_at < $2 GROUP BY submitter, state ORDER BY submitter, state`,
        [from, until],
      )
      const signings = await db.all<{ at: number; began: number }>(
        `SELECT MIN(e.sequenced_at) AS "at", t.created_at AS "began" FROM consult_event e JOIN consult_task t ON t.task_id = e.task_id
          WHERE t.created_at >= $1 AND t.created_at < $2 AND t.state IN ('signed', 'returned', 'read') AND e.event LIKE '%"type":"signed"%' GROUP BY t.task_id, t.created_at`,
        [from, until],
      )
      const hours = signings.map(({ at, began }) => (at - began) / 3_600_000).sort((a, b) => a - b)
      const total = tasks.reduce((sum, { count }) => sum + count, 0)
      return {
        from, until, total,
        byHospital: tasks.map(({ submitter, state, count }) => ({ submitter, state, count })),
        medianHoursToOpinion: hours[Math.floor(hours.length / 2)] ?? null,
      } // prettier-ignore
    },
  )
}
