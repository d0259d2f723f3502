import type { Queries, SqlValue } from 'service-kit'
import { answers, isProblemCode, Problem, type RefusalRow } from 'specs'

export interface RefusalPage {
  readonly rows: readonly RefusalRow[]
  readonly total: number
  readonly next: string | null
}

/**
 * Everything that was not let in, from three places that each saved it in its own transaction: refused commands and what
 * nodes reported (`hub_refusal`), envelopes the link would not open (`refusal`), messages that failed (`inbox`).
 */
const ALL_REFUSALS = `(
  SELECT id, at, source, code, facts FROM hub_refusal
  UNION ALL SELECT id, at, claimed_sender AS source, code, facts FROM refusal
  UNION ALL SELECT id, received_at AS at, peer AS source, problem_code AS code, problem_facts AS facts FROM inbox WHERE state = 'failed'
) AS r`

/** Newest first, by key. */
export async function listRefusals(
  queries: Queries,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<RefusalPage> {
  const counted = await queries.get<{ total: number }>(`SELECT COUNT(*) AS total FROM ${ALL_REFUSALS}`)
  const params: SqlValue[] = [limit + 1]
  let older = ''
  if (after !== undefined) {
    const key = parseKey(after)
    params.push(key.at, key.id)
    older = 'WHERE (r.at < $2 OR (r.at = $2 AND r.id < $3))'
  }
  const rows = await queries.all<{ id: string; at: number; source: string; code: string | null; facts: string | null }>(
    `SELECT r.id, r.at, r.source, r.code, r.facts FROM ${ALL_REFUSALS} ${older} ORDER BY r.at DESC, r.id DESC LIMIT $1`,
    params,
  )
  const page = rows.slice(0, limit).map(rowOf)
  const last = page.at(-1)
  return { rows: page, total: counted?.total ?? 0, next: rows.length > limit && last ? `${last.at}.${last.id}` : null }
}

function rowOf({
  id,
  at,
  source,
  code,
  facts,
}: {
  id: string
  at: number
  source: string
  code: string | null
  facts: string | null
}): RefusalRow {
  const known = code ?? 'service/internal'
  return { id, at, source, code: known, title: isProblemCode(known) ? answers[known].zh : known, facts: JSON.parse(facts ?? '{}') }
}

function parseKey(text: string): { at: number; id: string } {
  const match = /^(\d{1,15})\.(.{1,64})$/.exec(text)
  if (!match?.[1] || !match[2]) throw new Problem('request/invalid', { what: 'after' })
  return { at: Number(match[1]), id: match[2] }
}
