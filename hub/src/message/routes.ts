import type { HttpFace, Link, WaitingMessage } from 'service-kit'
import { answers, HospitalWaitingRow, MessageId, Page, type EpochMs, type ProblemCode } from 'specs'
import { z } from 'zod'
import { isOnline, type Hospital } from '../hospital/hospital.ts'

export interface MessageRouteParts {
  readonly link: Pick<Link, 'unanswered' | 'retry'>
  readonly hospitals: () => Promise<readonly Hospital[]>
  readonly heartbeatMs: number
  readonly now: () => EpochMs
}

/** The platform's side of AGT-07: what its hospitals have not taken yet, and what they have answered with an error. */
export function messageRoutes(face: HttpFace, { link, hospitals, heartbeatMs, now }: MessageRouteParts): void {
  face.route(
    {
      method: 'GET',
      path: '/api/messages/waiting',
      summary: 'Messages to hospitals without an answer, oldest first',
      allow: ['region.watch'],
      query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(200) }),
      answer: Page(HospitalWaitingRow),
    },
    async ({ query }) => {
      const online = new Set((await hospitals()).filter((each) => isOnline(each, now(), heartbeatMs)).map(({ config }) => config.id as string))
      const rows = (await link.unanswered(query)).map((message) => rowOf(message, online.has(message.peer)))
      return { rows, total: rows.length, next: null }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/messages/:id/retry',
      summary: 'Have a message handled again that failed here or at its hospital',
      allow: ['region.manage'],
      params: z.object({ id: MessageId }),
    },
    ({ params }) => link.retry(params.id),
  )
}

function rowOf({ id, peer, kind, since, state, attempts, lastTriedAt, problem }: WaitingMessage, isOnlineNow: boolean): HospitalWaitingRow {
  const code: ProblemCode | null = problem ?? (isOnlineNow ? null : 'region/hospital-offline')
  return { messageId: id, hospitalId: peer, kind, since, state, attempts, lastTriedAt, problem: code && { code, title: answers[code].zh } }
}
