import type { SqlValue } from 'service-kit'
import type { Right } from 'specs'
import type { Doing } from '../decide-access.ts'
import { scopedColumns, type RelationPolicy, type Subject } from './decide-exam.ts'
import { bitOf, type Moment, type RuleEffect } from './rule.ts'
import type { RuleBook } from './rule-book.ts'

/** Gives a value its place in a statement: `$7`. */
export type Bind = (value: SqlValue) => string

export interface ExamsQuestion {
  readonly subject: Subject
  readonly doing: Doing
  readonly right: Right
  readonly relation: RelationPolicy
  readonly rules: RuleBook
  readonly moment: Moment
}

/** SQL that is false: nothing at all. */
const NOTHING = '1 = 0'

/**
 * The condition on rows of the exam register that holds for exactly the exams to which decideExam says yes, so that lists, their
 * counts and their pages never know of others (SEC-03, SEC-05). Rules about one exam or patient are looked up in the rule table by
 * index; rules about classes are few and written out.
 *
 * @param exam the alias of the exam table in the statement. @param bind adds a parameter and gives its place.
 */
export function examCondition(question: ExamsQuestion, exam: string, bind: Bind): string {
  const { subject, right, doing, relation, rules, moment } = question
  const scopes = subject.scopes.get(right)
  if (scopes === undefined) return NOTHING
  const among = (column: string, values: readonly string[]) =>
    values.length === 0 ? NOTHING : `${column} IN (${values.map(bind).join(', ')})`
  const every = (parts: readonly string[]) => (parts.length === 0 ? undefined : parts.join(' AND '))
  const any = (parts: readonly string[]) => `(${parts.join(' OR ')})`

  const all: string[] = []
  const within = scopes.map((scope) =>
    every(scopedColumns.flatMap(([list, column]) => (scope[list] === undefined ? [] : [among(`${exam}.${column}`, scope[list])]))),
  )
  if (!within.includes(undefined)) all.push(within.length === 0 ? NOTHING : any(within.map((part) => `(${part})`)))

  const subjects = [...subject.keys]
  const rule = ruleSearch({ exam, bind, subjects, bit: bitOf(doing), moment })
  all.push(`NOT ${rule.exists(['deny'], 'asker')}`)
  for (const kind of ['exam', 'patient'] as const)
    all.push(any([`NOT ${rule.exists(['only'], 'anybody', kind)}`, rule.exists(['only'], 'asker', kind)]))

  const classes = classSets(rules, question)
  for (const [column, value] of classes.denied) all.push(column === 'any' ? NOTHING : `${exam}.${column} <> ${bind(value)}`)

  const emergency =
    `EXISTS (SELECT 1 FROM break_glass g WHERE g.account_id = ${bind(subject.id)} AND g.patient_id = ${exam}.patient_id` +
    ` AND g.until > ${bind(moment.now)} AND g.ended_at IS NULL)`
  const allowed = rule.exists(['allow', 'only'], 'asker')
  if (relation !== 'hospital') {
    const relations = [allowed, emergency]
    for (const [column, value] of classes.allowed) relations.push(column === 'any' ? '1 = 1' : `${exam}.${column} = ${bind(value)}`)
    relations.push(`${exam}.requesting_physician = ${bind(subject.id)}`)
    if (subject.department !== '') {
      relations.push(`${exam}.requesting_department = ${bind(subject.department)}`)
      if (relation === 'department') relations.push(`${exam}.department = ${bind(subject.department)}`)
    }
    all.push(any(relations))
  }
  all.push(any([among(`${exam}.label`, ['ordinary', ...subject.clearance]), allowed, emergency]))
  return all.join(' AND ')
}

/** Class rules that close a class to the asker, and those that open one. */
function classSets(rules: RuleBook, { doing, moment, subject }: ExamsQuestion) {
  const denied = new Map<string, [string, string]>()
  const allowed = new Map<string, [string, string]>()
  const reserved = new Map<string, { at: [string, string]; own: boolean }>()
  for (const { rule, subject: named } of rules.classRules(doing, moment)) {
    const { object } = rule
    const at: [string, string] = object.kind === 'any' ? ['any', ''] : [object.kind, object.id]
    const key = at.join(':')
    const isMeant = subject.keys.has(named)
    if (rule.effect === 'deny' && isMeant) denied.set(key, at)
    if (rule.effect !== 'deny' && isMeant) allowed.set(key, at)
    if (rule.effect === 'only') reserved.set(key, { at, own: isMeant || (reserved.get(key)?.own ?? false) })
  }
  for (const [key, { at, own }] of reserved) if (!own) denied.set(key, at)
  return { denied: [...denied.values()], allowed: [...allowed.values()] }
}

interface RuleSearch {
  readonly exam: string
  readonly bind: Bind
  readonly subjects: readonly string[]
  readonly bit: number
  readonly moment: Moment
}

/** Looks for rules about the row's exam or patient. The parameters are bound once however often it is asked. */
function ruleSearch({ exam, bind, subjects, bit, moment }: RuleSearch) {
  const [now, minute, doing, day] = [bind(moment.now), bind(moment.minute), bind(bit), bind(1 << moment.day)]
  const asker = `r.subject_key IN (${subjects.map(bind).join(', ')})`
  const keys = { exam: `'exam:' || ${exam}.exam_id`, patient: `'patient:' || ${exam}.patient_id` }
  const inForce =
    `r.withdrawn_at IS NULL AND (r.doings & ${doing}) <> 0 AND r.valid_from <= ${now} AND (r.valid_until IS NULL OR r.valid_until > ${now})` +
    ` AND (r.from_minute IS NULL OR ((r.days & ${day}) <> 0 AND (` +
    `(r.from_minute <= r.until_minute AND ${minute} >= r.from_minute AND ${minute} < r.until_minute)` +
    ` OR (r.from_minute > r.until_minute AND (${minute} >= r.from_minute OR ${minute} < r.until_minute)))))`
  return {
    exists(effects: readonly RuleEffect[], who: 'asker' | 'anybody', about?: 'exam' | 'patient'): string {
      const objects = about ? [keys[about]] : [keys.exam, keys.patient]
      const effect = effects.map((name) => `'${name}'`).join(', ')
      const whom = who === 'asker' ? ` AND ${asker}` : ''
      return `EXISTS (SELECT 1 FROM access_rule r WHERE r.object_key IN (${objects.join(', ')}) AND r.effect IN (${effect}) AND ${inForce}${whom})`
    },
  }
}

/** The columns of the rule table that the condition reads, from a rule. */
export const storedHours = (hours: { fromMinute: number; untilMinute: number; days: readonly number[] } | null) => ({
  fromMinute: hours?.fromMinute ?? null,
  untilMinute: hours?.untilMinute ?? null,
  days: hours ? hours.days.reduce((bits, day) => bits | (1 << day), 0) : null,
})
