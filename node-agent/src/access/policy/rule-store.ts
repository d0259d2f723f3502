import type { Queries, SqlValue, Transaction } from 'service-kit'
import { Problem, type EpochMs } from 'specs'
import type { Doing } from '../decide-access.ts'
import { AccessRule, bitsOf, doings, EVERYTHING, objectKey, storedHours, subjectKey } from './rule.ts'

/** Who made or withdrew a rule. */
export interface Author {
  readonly id: string
  readonly name: string
}

/** A rule with its history. */
export interface KeptRule extends AccessRule {
  readonly author: Author
  readonly createdAt: EpochMs
  /** The rule that this one took the place of. */
  readonly replaces: string | null
  readonly withdrawn: { readonly at: EpochMs; readonly by: Author; readonly because: string } | null
}

interface RuleRow {
  readonly ruleId: string
  readonly effect: AccessRule['effect']
  readonly subjectKind: string
  readonly subjectId: string
  readonly objectKind: string
  readonly objectId: string
  readonly doings: number
  readonly validFrom: EpochMs
  readonly validUntil: EpochMs | null
  readonly fromMinute: number | null
  readonly untilMinute: number | null
  readonly days: number | null
  readonly reason: string
  readonly authorId: string
  readonly authorName: string
  readonly createdAt: EpochMs
  readonly replaces: string | null
  readonly withdrawnAt: EpochMs | null
  readonly withdrawnBy: string | null
  readonly withdrawnName: string | null
  readonly withdrawnBecause: string | null
}

const columns = `rule_id AS "ruleId", effect, subject_kind AS "subjectKind", subject_id AS "subjectId", object_kind AS "objectKind", object_id AS "objectId", doings,
  valid_from AS "validFrom", valid_until AS "validUntil", from_minute AS "fromMinute", until_minute AS "untilMinute", days, reason, author_id AS "authorId",
  author_name AS "authorName", created_at AS "createdAt", replaces, withdrawn_at AS "withdrawnAt", withdrawn_by AS "withdrawnBy", withdrawn_name AS "withdrawnName",
  withdrawn_because AS "withdrawnBecause"`

function keptOf(row: RuleRow): KeptRule {
  const { fromMinute, untilMinute, days } = row
  const subject = row.subjectKind === 'everybody' ? { kind: 'everybody' } : { kind: row.subjectKind, id: row.subjectId }
  const object = row.objectKind === 'any' ? { kind: 'any' } : { kind: row.objectKind, id: row.objectId }
  const rule = AccessRule.parse({
    ruleId: row.ruleId,
    effect: row.effect,
    subject,
    object,
    doings: doingsOf(row.doings),
    validFrom: row.validFrom,
    validUntil: row.validUntil,
    hours: fromMinute === null || untilMinute === null || days === null ? null : { fromMinute, untilMinute, days: [1, 2, 3, 4, 5, 6, 7].filter((day) => (days & (1 << day)) !== 0) },
    reason: row.reason,
  })
  return {
    ...rule,
    author: { id: row.authorId, name: row.authorName },
    createdAt: row.createdAt,
    replaces: row.replaces,
    withdrawn:
      row.withdrawnAt === null
        ? null
        : { at: row.withdrawnAt, by: { id: row.withdrawnBy ?? '', name: row.withdrawnName ?? '' }, because: row.withdrawnBecause ?? '' },
  }
}

const doingsOf = (bits: number): Doing[] | null => (bits === EVERYTHING ? null : doings.filter((_doing, index) => (bits & (1 << index)) !== 0))

/** Rules that hold now or will hold. */
export async function loadRules(db: Queries, now: EpochMs): Promise<AccessRule[]> {
  const rows = await db.all<RuleRow>(`SELECT ${columns} FROM access_rule WHERE withdrawn_at IS NULL AND (valid_until IS NULL OR valid_until > $1)`, [now])
  return rows.map(keptOf)
}

export async function insertRule(tx: Transaction, rule: AccessRule, author: Author, now: EpochMs, replaces: string | null = null): Promise<void> {
  const { subject, object } = rule
  const hours = storedHours(rule.hours)
  await tx.run(
    `INSERT INTO access_rule (rule_id, effect, subject_kind, subject_id, subject_key, object_kind, object_id, object_key, doings, valid_from, valid_until,
      from_minute, until_minute, days, reason, author_id, author_name, created_at, replaces)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
    [rule.ruleId, rule.effect, subject.kind, subject.kind === 'everybody' ? '' : subject.id, subjectKey(subject), object.kind, object.kind === 'any' ? '' : object.id,
      objectKey(object), bitsOf(rule.doings), rule.validFrom, rule.validUntil, hours.fromMinute, hours.untilMinute, hours.days, rule.reason, author.id, author.name,
      now, replaces], // prettier-ignore
  )
}

/** @returns the rule as it was. @throws {Problem} access/rule-unknown when there is none, or it was withdrawn before. */
export async function withdrawRule(tx: Transaction, ruleId: string, by: Author, because: string, now: EpochMs): Promise<KeptRule> {
  const rule = await findRule(tx, ruleId)
  const changed = await tx.run(
    'UPDATE access_rule SET withdrawn_at = $2, withdrawn_by = $3, withdrawn_name = $4, withdrawn_because = $5 WHERE rule_id = $1 AND withdrawn_at IS NULL',
    [ruleId, now, by.id, by.name, because],
  )
  if (rule === undefined || changed !== 1) throw new Problem('access/rule-unknown', { ruleId })
  return rule
}

export async function findRule(db: Queries, ruleId: string): Promise<KeptRule | undefined> {
  const row = await db.get<RuleRow>(`SELECT ${columns} FROM access_rule WHERE rule_id = $1`, [ruleId])
  return row && keptOf(row)
}

export interface RuleFilter {
  /** `user:…`, `everybody`, as subjectKey writes it. */
  readonly subject?: string | undefined
  readonly object?: string | undefined
  readonly effect?: AccessRule['effect'] | undefined
  /** Withdrawn and past ones too. */
  readonly history?: boolean | undefined
  readonly limit: number
  readonly after?: { readonly createdAt: EpochMs; readonly ruleId: string } | undefined
}

/** Newest first. */
export async function listRules(db: Queries, filter: RuleFilter, now: EpochMs): Promise<{ rows: KeptRule[]; total: number }> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted = ['1 = 1']
  if (filter.subject !== undefined) wanted.push(`subject_key = ${bind(filter.subject)}`)
  if (filter.object !== undefined) wanted.push(`object_key = ${bind(filter.object)}`)
  if (filter.effect !== undefined) wanted.push(`effect = ${bind(filter.effect)}`)
  if (!filter.history) wanted.push(`withdrawn_at IS NULL AND (valid_until IS NULL OR valid_until > ${bind(now)})`)
  const counted = await db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM access_rule WHERE ${wanted.join(' AND ')}`, [...params])
  if (filter.after) {
    const at = bind(filter.after.createdAt)
    wanted.push(`(created_at < ${at} OR (created_at = ${at} AND rule_id > ${bind(filter.after.ruleId)}))`)
  }
  const rows = await db.all<RuleRow>(`SELECT ${columns} FROM access_rule WHERE ${wanted.join(' AND ')} ORDER BY created_at DESC, rule_id LIMIT ${bind(filter.limit)}`, params)
  return { rows: rows.map(keptOf), total: counted?.total ?? 0 }
}
