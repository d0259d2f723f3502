import { answers, isProblemCode, type MessageRow, type PartyId } from 'specs'
import type { Database } from '../database/index.ts'

export interface MessageFilter {
  readonly direction?: 'out' | 'in'
  readonly peer?: PartyId
  readonly state?: string
  readonly limit?: number
}

interface Row {
  id: string
  direction: 'out' | 'in'
  peer: PartyId
  seq: number
  kind: string
  state: string
  at: number
  attempts: number
  lastTriedAt: number | null
  problemCode: string | null
}

/** Messages of both directions for the pages, newest first; their contents stay where they are. */
export async function listMessages(db: Database, filter: MessageFilter = {}): Promise<(MessageRow & { peer: PartyId })[]> {
  const rows = await db.all<Row>(
    `SELECT id, direction, peer, seq, kind, state, at, attempts, tried AS "lastTriedAt", problem_code AS "problemCode" FROM (
       SELECT id, 'out' AS direction, peer, seq, kind, CASE WHEN problem_code IS NULL OR state <> 'delivered' THEN state ELSE 'failed-there' END AS state,
         created_at AS at, attempts, published_at AS tried, problem_code FROM outbox
       UNION ALL
       SELECT id, 'in' AS direction, peer, seq, kind, state, received_at AS at, attempts, received_at AS tried, problem_code FROM inbox
     ) AS message
     WHERE ($1 = '' OR direction = $1) AND ($2 = '' OR peer = $2) AND ($3 = '' OR state = $3)
     ORDER BY at DESC, seq DESC LIMIT $4`,
    [filter.direction ?? '', filter.peer ?? '', filter.state ?? '', filter.limit ?? 100],
  )
  return rows.map(({ problemCode, ...row }) => ({
    ...row,
    problem: problemCode === null ? null : { code: problemCode, title: titleOf(problemCode) },
  }))
}

export const titleOf = (code: string): string => (isProblemCode(code) ? answers[code].zh : code)
