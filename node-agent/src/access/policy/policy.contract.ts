import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database, SqlValue } from 'service-kit'
import { examLabels, HospitalId, type ExamLabel, type Scope } from 'specs'
import { examMigrations, listExams } from '../../exam/store.ts'
import { decideExam, type BreakGlass, type RelationPolicy, type Subject } from './decide-exam.ts'
import type { ExamFacts } from './exam-facts.ts'
import { doings, type AccessRule, type Moment } from './rule.ts'
import { RuleBook } from './rule-book.ts'
import { insertRule, loadRules } from './rule-store.ts'
import { examCondition } from './sql-condition.ts'
import { policyMigrations } from './tables.ts'

const NOW = 1_800_000_000_000
/** Few values, so that rules, scopes and exams meet often; quotes and wildcards, so that nothing is taken for SQL. */
const places = ['', '总院', "西院'--", '%'] as const
const named = (values: readonly string[]) => fc.constantFrom(...values.filter((value) => value !== ''))
const users = ['u1', 'u2', 'u3']
const patients = ['P1', 'P2', "P'3"]
const examIds = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6']
const modalities = ['CT', 'MR', 'US']

const someExam = (examId: string): fc.Arbitrary<ExamFacts> =>
  fc.record({
    examId: fc.constant(examId),
    owner: fc.constant(HospitalId.parse('hospital-a')),
    patientId: fc.constantFrom(...patients),
    campus: fc.constantFrom(...places),
    department: fc.constantFrom(...places),
    area: fc.constantFrom(...places),
    modality: fc.constantFrom(...modalities),
    label: fc.oneof({ weight: 3, arbitrary: fc.constant<ExamLabel>('ordinary') }, { weight: 2, arbitrary: fc.constantFrom(...examLabels) }),
    requestingDepartment: fc.constantFrom(...places),
    requestingPhysician: fc.constantFrom('', ...users),
  })

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })
const someScope: fc.Arbitrary<Scope> = fc
  .record({
    campuses: optional(fc.subarray([...places])),
    departments: optional(fc.subarray([...places], { minLength: 1 })),
    areas: optional(fc.subarray([...places], { minLength: 1 })),
    modalities: optional(fc.subarray(modalities, { minLength: 1 })),
  })
  .map((lists) => Object.fromEntries(Object.entries(lists).filter(([, values]) => values !== undefined)))

const someRule: fc.Arbitrary<AccessRule> = fc.record({
  ruleId: fc.uuid(),
  effect: fc.constantFrom('allow', 'deny', 'only'),
  subject: fc.oneof(
    fc.constant({ kind: 'everybody' as const }),
    fc.record({ kind: fc.constant('user' as const), id: fc.constantFrom(...users) }),
    fc.record({ kind: fc.constantFrom('role' as const, 'group' as const), id: fc.constantFrom('r1', 'r2') }),
  ),
  object: fc.oneof(
    fc.constant({ kind: 'any' as const }),
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('patient' as const), id: fc.constantFrom(...patients) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('exam' as const), id: fc.constantFrom(...examIds) }) },
    fc.record({ kind: fc.constantFrom('campus' as const, 'department' as const, 'area' as const), id: named(places) }),
    fc.record({ kind: fc.constant('modality' as const), id: fc.constantFrom(...modalities) }),
    fc.record({ kind: fc.constant('label' as const), id: fc.constantFrom(...examLabels) }),
  ),
  doings: fc.option(fc.subarray([...doings], { minLength: 1 }), { freq: 2 }),
  validFrom: fc.constantFrom(0, NOW - 1, NOW, NOW + 1),
  validUntil: fc.option(fc.constantFrom(NOW - 1, NOW, NOW + 1), { freq: 2 }),
  hours: fc.option(
    fc.record({
      fromMinute: fc.constantFrom(0, 480, 1_320),
      untilMinute: fc.constantFrom(360, 480, 1_080, 1_440),
      days: fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
    }),
    { freq: 2 },
  ),
  reason: fc.constant('测试'),
})

const someSubject: fc.Arbitrary<Subject> = fc.record({
  id: fc.constantFrom(...users),
  keys: fc.subarray(['role:r1', 'role:r2', 'group:r1', 'group:r2']).map((keys) => new Set(keys)),
  scopes: fc.option(fc.array(someScope, { maxLength: 3 }), { nil: undefined, freq: 8 }).map((scopes) => new Map(scopes === undefined ? [] : [['image.view' as const, scopes]])),
  department: fc.constantFrom(...places),
  clearance: fc.subarray(examLabels.filter((label) => label !== 'ordinary')).map((labels) => new Set(labels)),
}).map(({ keys, ...subject }) => ({ ...subject, keys: new Set(['everybody', `user:${subject.id}`, ...keys]) })) // prettier-ignore

const someBreakGlass: fc.Arbitrary<BreakGlass> = fc.record({
  breakGlassId: fc.uuid(),
  subjectId: fc.constantFrom(...users),
  patientId: fc.constantFrom(...patients),
  until: fc.constantFrom(NOW - 1, NOW, NOW + 1),
})

const someMoment: fc.Arbitrary<Moment> = fc.record({ now: fc.constant(NOW), minute: fc.constantFrom(0, 359, 360, 480, 1_079, 1_080, 1_320, 1_439), day: fc.integer({ min: 1, max: 7 }) })

const someCase = fc.record({
  exams: fc.tuple(...examIds.map(someExam)),
  rules: fc.uniqueArray(someRule, { maxLength: 14, selector: ({ ruleId }) => ruleId }),
  subject: someSubject,
  doing: fc.constantFrom(...doings),
  relation: fc.constantFrom<RelationPolicy>('hospital', 'department', 'treating'),
  breakGlass: fc.array(someBreakGlass, { maxLength: 3 }),
  moment: someMoment,
})

/** The decision and the condition of a list are two forms of one policy: on any database they must say the same of every row. */
export function policyContract(name: string, open: () => Promise<Database>, runs: number): void {
  describe(`the policy on ${name}`, () => {
    let db: Database
    beforeAll(async () => {
      db = await open()
      await db.migrate('exam', examMigrations)
      await db.migrate('access', policyMigrations)
    })
    afterAll(() => db.close())

    it('lists and counts exactly the exams that it would open one by one, whatever the rules are', async () => {
      // SEC-01, SEC-03, SEC-05, REG-21, ULS-18
      let seen = 0
      await fc.assert(
        fc.asyncProperty(someCase, async ({ exams, rules, ...question }) => {
          await db.write(async (tx) => {
            await tx.run('DELETE FROM exam')
            await tx.run('DELETE FROM access_rule')
            for (const exam of exams) await tx.run(insertExam, valuesOf(exam))
            for (const rule of rules) await insertRule(tx, rule, { id: 'admin', name: '安全管理员' }, NOW)
          })
          const asked = { ...question, right: 'image.view' as const, rules: new RuleBook(rules) }
          const opened = exams.filter((exam) => decideExam({ ...asked, exam }).allowed).map(({ examId }) => examId)
          seen += opened.length
          // Rules written into the statement, and rules looked up in the table.
          for (const namedAtMost of [64, -1]) expect(await listed(db, asked, namedAtMost)).toEqual(opened)
          const page = await listExams(db, { limit: 4, permitted: (exam, bind) => examCondition(asked, exam, bind) })
          expect([page.rows.map(({ examId }) => examId), page.total]).toEqual([opened.slice(0, 4), opened.length])
          const last = page.rows.at(-1)
          const rest = last && (await listExams(db, { limit: 4, after: last, permitted: (exam, bind) => examCondition(asked, exam, bind) }))
          expect([rest?.rows.map(({ examId }) => examId) ?? [], rest?.total ?? 0]).toEqual([opened.slice(4), opened.length])
          // What was stored says the same as what was meant; rules of the past are not loaded at all.
          const reloaded = { ...asked, rules: new RuleBook(await loadRules(db, NOW)) }
          expect(exams.filter((exam) => decideExam({ ...reloaded, exam }).allowed).map(({ examId }) => examId)).toEqual(opened)
        }),
        { numRuns: runs },
      )
      expect(seen).toBeGreaterThan(runs / 10) // a policy that refuses everything would agree with itself too
    }, 120_000)
  })
}

async function listed(db: Database, question: Parameters<typeof examCondition>[0], namedAtMost: number): Promise<string[]> {
  const params: SqlValue[] = []
  const condition = examCondition(question, 'e', (value) => `$${params.push(value)}`, namedAtMost)
  const rows = await db.all<{ examId: string }>(`SELECT exam_id AS "examId" FROM exam e WHERE ${condition} ORDER BY exam_id`, params)
  return rows.map(({ examId }) => examId)
}

const insertExam = `INSERT INTO exam (exam_id, accession_number, patient_id, patient_name, patient_sex, patient_birth_date, patient_age, modality, body_part, description,
  study_date, study_time, series_count, instance_count, size_bytes, clinical_history, report_findings, report_impression, received_at, updated_at, campus, department, area,
  requesting_department, requesting_physician, label)
  VALUES ($1, $1, $2, '', '', '', '', $3, '', '', '', '', 0, 0, 0, '', '', '', 0, 0, $4, $5, $6, $7, $8, $9)`
const valuesOf = (exam: ExamFacts): string[] => [exam.examId, exam.patientId, exam.modality, exam.campus, exam.department, exam.area, exam.requestingDepartment, exam.requestingPhysician, exam.label] // prettier-ignore
