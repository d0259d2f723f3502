import type { SqlValue } from 'service-kit'
import { emergencyDoings, enteringDoings, scopedColumns, type ExamQuestion } from './decide-exam.ts'
import { bitOf, type Moment, type RuleEffect } from './rule.ts'
import type { RuleBook } from './rule-book.ts'

/** Gives a value its place in a statement: `$7`. */
export type Bind = (value: SqlValue) => string

export type ExamsQuestion = Omit<ExamQuestion, 'exam'>

/** SQL that is false: nothing at all. */
const NOTHING = '1 = 0'
/** So many exams and patients that rules name are written into the statement; of more the rule table is asked, row by row. */
const NAMED_AT_MOST = 64

/**
 * The condition on rows of the exam register that holds for exactly the exams to which decideExam says yes, so that lists, their
 * counts and their pages never know of others (SEC-03, SEC-05). Whatever does not concern this asker is left out, so that a plain
 * reader's list costs next to nothing.
 *
 * @param exam the alias of the exam table in the statement. @param bind adds a parameter and gives its place.
 */
export function examCondition(question: ExamsQuestion, exam: string, bind: Bind, namedAtMost = NAMED_AT_MOST): string {
  const { subject, right, doing, relation } = question
  const scopes = subject.scopes.get(right)
  if (scopes === undefined) return NOTHING
  const among = (column: string, values: readonly string[]) => {
    const [only] = values
    if (only === undefined) return NOTHING
    // One value is looked up by an index that also has the order of the list. Several would be looked up and then sorted, all of them:
    // the empty text keeps the database from that.
    return values.length === 1 ? `${exam}.${column} = ${bind(only)}` : `(${exam}.${column} || '') IN (${values.map(bind).join(', ')})`
  }

  const all: string[] = []
  const limited = scopes.map((scope) => scopedColumns.flatMap(([list, column]) => (scope[list] === undefined ? [] : [{ column, values: scope[list] }])))
  // One scope without a limit is the whole hospital, whatever the others say. A value is bound only where it is used.
  if (limited.every((limits) => limits.length > 0)) {
    const within = limited.map((limits) => `(${limits.map(({ column, values }) => among(column, values)).join(' AND ')})`)
    all.push(within.length === 0 ? NOTHING : anyOf(within))
  }

  const ones = conditionsOnOnes(question, exam, bind, namedAtMost)
  all.push(...ones.closed)
  const classes = classSets(question)
  for (const [column, value] of classes.denied) all.push(column === 'any' ? NOTHING : `${exam}.${column} <> ${bind(value)}`)

  if (enteringDoings.has(doing)) return all.length === 0 ? '1 = 1' : all.join(' AND ')

  // What opens an exam beside role and relation: a rule that names it, or an emergency access to its patient.
  const patients = emergencyPatients(question)
  const opened = [...ones.open(), ...(patients.length > 0 ? [`${exam}.patient_id IN (${patients.map(bind).join(', ')})`] : [])]
  if (relation !== 'hospital') {
    const relations = [...opened, `${exam}.requesting_physician = ${bind(subject.id)}`]
    for (const [column, value] of classes.allowed) relations.push(column === 'any' ? '1 = 1' : `${exam}.${column} = ${bind(value)}`)
    if (subject.department !== '') {
      const department = bind(subject.department)
      relations.push(`${exam}.requesting_department = ${department}`)
      if (relation === 'department') relations.push(`${exam}.department = ${department}`)
    }
    all.push(anyOf(relations))
  }
  all.push(anyOf([among('label', ['ordinary', ...subject.clearance]), ...opened]))
  return all.join(' AND ')
}

const anyOf = (parts: readonly string[]): string => (parts.length === 1 && parts[0] !== undefined ? parts[0] : `(${parts.join(' OR ')})`)

/** Patients to whom the asker has an emergency access now. */
function emergencyPatients({ breakGlass, subject, doing, moment }: ExamsQuestion): string[] {
  if (!emergencyDoings.has(doing)) return []
  const open = breakGlass.filter(({ subjectId, until }) => subjectId === subject.id && moment.now < until)
  return [...new Set(open.map(({ patientId }) => patientId))]
}

/**
 * What rules about single exams and patients close and open. Few are written down; of more the rule table is asked, row by row. A
 * value may only be bound where it is used.
 */
function conditionsOnOnes(question: ExamsQuestion, exam: string, bind: Bind, namedAtMost: number): { closed: string[]; open: () => string[] } {
  const { rules, subject, doing, moment } = question
  const { denied, reserved, own, allowed } = rules.namedOnes(subject.keys, doing, moment, namedAtMost)
  const written = (keys: ReadonlySet<string>, not: '' | 'NOT ', of: readonly (typeof kinds)[number][] = kinds) =>
    of.flatMap((kind) => {
      const ids = [...keys].flatMap((key) => (key.startsWith(`${kind}:`) ? [key.slice(kind.length + 1)] : []))
      return ids.length === 0 ? [] : [`${exam}.${kind}_id ${not}IN (${ids.map(bind).join(', ')})`]
    })
  const search = onceNeeded(() => ruleSearch({ exam, bind, rules, subjects: [...subject.keys], bit: bitOf(doing), moment }))
  const closed = [
    ...(denied ? written(denied, 'NOT ') : [`NOT ${search().exists(['deny'], 'asker')}`]),
    ...(reserved
      ? written(reserved, 'NOT ')
      : kinds.flatMap((kind) => {
          if (!rules.reserves(kind)) return []
          const mine = own ? written(own, '', [kind]) : [search().exists(['only'], 'asker', kind)]
          return [anyOf([`NOT ${search().exists(['only'], 'anybody', kind)}`, ...mine])]
        })),
  ]
  return { closed, open: () => (allowed ? written(allowed, '') : [search().exists(['allow', 'only'], 'asker')]) }
}

const kinds = ['exam', 'patient'] as const

function onceNeeded<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** Class rules that close a class to the asker, and those that open one. */
function classSets({ rules, doing, moment, subject }: ExamsQuestion) {
  const denied = new Map<string, [string, string]>()
  const allowed = new Map<string, [string, string]>()
  const reserved = new Map<string, { at: [string, string]; own: boolean }>()
  for (const { rule, isMeant } of rules.classRules(subject.keys, doing, moment)) {
    const { object } = rule
    const at: [string, string] = object.kind === 'any' ? ['any', ''] : [object.kind, object.id]
    const key = at.join(':')
    if (rule.effect === 'deny' && isMeant) denied.set(key, at)
    if (rule.effect !== 'deny' && isMeant) allowed.set(key, at)
    if (rule.effect === 'only') reserved.set(key, { at, own: isMeant || (reserved.get(key)?.own ?? false) })
  }
  for (const [key, { at, own }] of reserved) if (!own) denied.set(key, at)
  return { denied: [...denied.values()], allowed: [...allowed.values()] }
}

interface RuleSearch {
  readonly rules: RuleBook
  readonly exam: string
  readonly bind: Bind
  readonly subjects: readonly string[]
  readonly bit: number
  readonly moment: Moment
}

/** Looks for rules about the row's exam or patient. Each parameter is bound at its first use, and once. */
function ruleSearch({ exam, bind, rules, subjects, bit, moment }: RuleSearch) {
  const keys = { exam: `'exam:' || ${exam}.exam_id`, patient: `'patient:' || ${exam}.patient_id` }
  const asker = onceNeeded(() => `r.subject_key IN (${subjects.map(bind).join(', ')})`)
  const valid = onceNeeded(() => {
    const [now, doing] = [bind(moment.now), bind(bit)]
    return `r.withdrawn_at IS NULL AND (r.doings & ${doing}) <> 0 AND r.valid_from <= ${now} AND (r.valid_until IS NULL OR r.valid_until > ${now})`
  })
  const atThisHour = onceNeeded(() => {
    const [minute, day] = [bind(moment.minute), bind(1 << moment.day)]
    return (
      ` AND (r.from_minute IS NULL OR ((r.days & ${day}) <> 0 AND (` +
      `(r.from_minute <= r.until_minute AND ${minute} >= r.from_minute AND ${minute} < r.until_minute)` +
      ` OR (r.from_minute > r.until_minute AND (${minute} >= r.from_minute OR ${minute} < r.until_minute)))))`
    )
  })
  return {
    exists(effects: readonly RuleEffect[], who: 'asker' | 'anybody', about?: 'exam' | 'patient'): string {
      const objects = about ? `= ${keys[about]}` : `IN (${keys.exam}, ${keys.patient})`
      const effect = effects.length === 1 ? `= '${effects[0]}'` : `IN (${effects.map((name) => `'${name}'`).join(', ')})`
      const whom = who === 'asker' ? ` AND ${asker()}` : ''
      return `EXISTS (SELECT 1 FROM access_rule r WHERE r.object_key ${objects} AND r.effect ${effect} AND ${valid()}${effects.some((each) => rules.hasHours(each)) ? atThisHour() : ''}${whom})`
    },
  }
}
