import type { Database, HttpFace, User } from 'service-kit'
import { Page, TaskId, WaitingRow } from 'specs'
import { isAdministrator, type StudyAudience } from '../access/study-audience.ts'
import type { Region } from '../region/region.ts'
import { findConsult } from './store.ts'
import type { UnansweredCommands } from './unanswered.ts'

export interface UnansweredRoutes {
  readonly db: Database
  readonly unanswered: UnansweredCommands
  readonly region: Region
  readonly audience: StudyAudience
}

/**
 * What waits for the platform, for whoever wonders and for the administrator who can do something about it (AGT-07). A command about a task
 * that somebody may not have on a list is not on theirs; administrators see that one waits, without its task.
 */
export function addUnansweredRoutes(face: HttpFace, { db, unanswered, region, audience }: UnansweredRoutes): void {
  async function shownTo(user: User, row: WaitingRow): Promise<WaitingRow[]> {
    const { command } = row
    if (command === null) return [row]
    const taskId = TaskId.safeParse(command.taskId).data
    const isListed = taskId !== undefined && (await audience.ofConsult(await findConsult(db, taskId)))(user)
    if (isListed) return [row]
    return isAdministrator(user) ? [{ ...row, command: { ...command, taskId: null } }] : []
  }
  face.route(
    {
      method: 'GET',
      path: '/api/messages/waiting',
      summary: 'Requests to the platform without an answer, oldest first',
      allow: 'signed-in',
      answer: Page(WaitingRow),
    },
    async ({ user }) => {
      const rows = (await Promise.all((await unanswered.list()).map((row) => shownTo(user, row)))).flat()
      return { rows, total: rows.length, next: null }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/link/try-now',
      summary: 'Try the platform, and whatever waits for it, now',
      allow: ['system.configure'],
      limit: { requests: 30, seconds: 60 },
    },
    () => {
      region.link?.tryNow()
    },
  )
}
