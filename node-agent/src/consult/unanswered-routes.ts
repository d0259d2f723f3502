import type { HttpFace } from 'service-kit'
import { Page, WaitingRow } from 'specs'
import type { Region } from '../region/region.ts'
import type { UnansweredCommands } from './unanswered.ts'

/** What waits for the platform, for whoever wonders and for the administrator who can do something about it (AGT-07). */
export function addUnansweredRoutes(face: HttpFace, { unanswered, region }: { unanswered: UnansweredCommands; region: Region }): void {
  face.route(
    {
      method: 'GET',
      path: '/api/messages/waiting',
      summary: 'Requests to the platform without an answer, oldest first',
      allow: 'signed-in',
      answer: Page(WaitingRow),
    },
    async () => {
      const rows = await unanswered.list()
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
