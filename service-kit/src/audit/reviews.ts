import { BlockList } from 'node:net'
import { type AuditReview, type ReviewFinding, actionsOf } from 'specs'
import type { Database, SqlValue } from '../database/index.ts'
import type { AuditConfig } from './config.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Access-control standard, section 4: more than 100 patients on one day. */
const MASS_PATIENTS = 100
/** Refusals of one person on one day that want to be looked at. */
const DENIALS = 10
const MOST_FINDINGS = 500

interface Row extends Omit<ReviewFinding, 'day' | 'actorName'> {
  readonly day: number | null
}

/** The saved reviews of the standard: who looked when nobody should, at whom nobody should, too much, too often in vain, from elsewhere. */
export async function review(
  db: Database,
  which: AuditReview,
  { from, until }: { from: number; until: number },
  settings: Pick<AuditConfig, 'nightHours' | 'utcOffsetMinutes' | 'campusNetworks'>,
): Promise<ReviewFinding[]> {
  const offset = settings.utcOffsetMinutes * 60_000
  const params: SqlValue[] = [from, until]
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const among = (values: readonly string[]) => `IN (${values.map(bind).join(', ')})`
  const views = () => `action ${among(actionsOf('view', 'export'))} AND outcome = 'success' AND actor_kind IN ('user', 'service')`
  const day = `((at + ${offset}) - (at + ${offset}) % ${DAY_MS})`
  const patients = 'COUNT(DISTINCT COALESCE(patient_key, object_id))'
  const figures = `COUNT(*) AS "count", ${patients} AS "patients", MIN(at) AS "firstAt", MAX(at) AS "lastAt"`
  const ask = (columns: string, condition: string, having = '') =>
    db.all<Row>(
      `SELECT actor_id AS "actorId", ${columns}, ${figures} FROM audit_record WHERE at >= $1 AND at < $2 AND ${condition}
       GROUP BY actor_id, 2, 3 ${having} ORDER BY 5 DESC, 4 DESC LIMIT ${MOST_FINDINGS}`,
      params,
    )
  const byDay = `${day} AS "day", CAST(NULL AS TEXT) AS "sourceIp"`
  const byAddress = `CAST(NULL AS BIGINT) AS "day", source_ip AS "sourceIp"`
  const rows = await asked()
  return withNames(db, rows)

  async function asked(): Promise<Row[]> {
    switch (which) {
      case 'night': {
        const [start, end] = settings.nightHours
        const hour = `(((at + ${offset}) % ${DAY_MS}) / ${HOUR_MS})`
        const isNight = start > end ? `(${hour} >= ${start} OR ${hour} < ${end})` : `(${hour} >= ${start} AND ${hour} < ${end})`
        return ask(byDay, `${views()} AND ${isNight}`)
      }
      case 'vip':
        return ask(byDay, `${views()} AND label IS NOT NULL AND label NOT IN ('普通', 'normal', '')`)
      case 'mass-view':
        return ask(byDay, views(), `HAVING ${patients} > ${MASS_PATIENTS}`)
      case 'repeated-denial':
        return ask(byDay, `outcome = 'refused' AND outcome <> 'success'`, `HAVING COUNT(*) >= ${DENIALS}`)
      case 'off-campus': {
        const campus = networksOf(settings.campusNetworks)
        const everybody = await ask(byAddress, `${views()} AND source_ip IS NOT NULL`)
        return everybody.filter(({ sourceIp }) => sourceIp !== null && !isInside(campus, sourceIp))
      }
    }
  }
}

function networksOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = address.includes(':') ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}

function isInside(list: BlockList, text: string): boolean {
  const address = text.replace(/^::ffff:(?=\d+\.)/, '')
  try {
    return list.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
  } catch {
    return false
  }
}

/** A name may have changed since: the newest record of the person says the present one. */
async function withNames(db: Database, rows: readonly Row[]): Promise<ReviewFinding[]> {
  const names = new Map<string, string | null>()
  for (const { actorId } of rows) {
    if (names.has(actorId)) continue
    const newest = await db.get<{ body: string }>('SELECT body FROM audit_record WHERE actor_id = $1 ORDER BY at DESC, seq DESC LIMIT 1', [actorId])
    names.set(actorId, newest === undefined ? null : ((JSON.parse(newest.body) as { actor: { name?: string } }).actor.name ?? null))
  }
  // `day` is midnight of local time, told as if it were UTC.
  return rows.map(({ day, ...row }) => ({ ...row, actorName: names.get(row.actorId) ?? null, day: day === null ? null : new Date(Number(day)).toISOString().slice(0, 10) }))
}
