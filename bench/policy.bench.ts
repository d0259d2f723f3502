import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase, type Database } from 'service-kit'
import { HospitalId, nodeRoles, type Scope } from 'specs'
import { decideExam, type Subject } from '../node-agent/src/access/policy/decide-exam.ts'
import type { ExamFacts } from '../node-agent/src/access/policy/exam-facts.ts'
import { momentAt, type AccessRule } from '../node-agent/src/access/policy/rule.ts'
import { RuleBook } from '../node-agent/src/access/policy/rule-book.ts'
import { insertRule } from '../node-agent/src/access/policy/rule-store.ts'
import { examCondition } from '../node-agent/src/access/policy/sql-condition.ts'
import { subjectOf } from '../node-agent/src/access/policy/subject.ts'
import { policyMigrations } from '../node-agent/src/access/policy/tables.ts'
import { examMigrations, listExams } from '../node-agent/src/exam/store.ts'
import type { BenchResult } from './run.ts'
import { asPercent, inTurns, median, quantile, relativeCost } from './support/rounds.ts'

const exams = Number(process.env['BENCH_EXAMS'] ?? 1_000_000)
const rules = 10_000
const users = 500
const NOW = Date.now()
const owner = HospitalId.parse('hospital-a')
const campuses = ['总院', '西院', '东院']
const modalities = ['CT', 'MR', 'US', 'DX']

/**
 * What rights cost: one decision in process with 10,000 rules, and a page of 50 (with its count) from a million exams, with the rights
 * condition beside the same list without it, in turns on the same database. Whatever else runs on the machine only ever makes an answer later: the ratio of
 * the quickest tenths is nearest to the truth.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  try {
    const made = ruleSet()
    await fill(db, made)
    const book = new RuleBook(made)
    const rows: BenchResult['rows'] = [decisionRow(book)]
    for (const [name, subject] of Object.entries(subjects())) rows.push(await listRow(db, book, name, subject))
    return { name: `Access policy: ${rules} rules, ${exams.toLocaleString('en')} exams (SQLite)`, rows }
  } finally {
    await db.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const person = (id: string, role: string, scope: Scope = {}): Subject =>
  subjectOf({ id, department: '内科', entitlements: nodeRoles.filter((each) => each.id === role).map((each) => ({ role: each.id, rights: [...each.rights], scope })) })

const subjects = () => ({
  'whole hospital': person('u1', 'doctor'),
  'one of three campuses': person('u2', 'doctor', { campuses: ['西院'] }),
  'one area of 200': person('u3', 'doctor', { areas: ['区域17'] }),
})

/** As a large hospital has them: mostly about single patients, some exams reserved, a few about classes, a part already over. */
function ruleSet(): AccessRule[] {
  return Array.from({ length: rules }, (_value, index): AccessRule => {
    const user = { kind: 'user', id: `u${index % users}` } as const
    const kind = index % 100
    const base = { ruleId: `r${index}`, doings: null, validFrom: 0, validUntil: kind % 7 === 0 ? NOW + 86_400_000 : null, hours: kind === 3 ? { fromMinute: 0, untilMinute: 1_440, days: [1, 2, 3, 4, 5, 6, 7] } : null, reason: '基准' }
    if (kind < 60) return { ...base, effect: 'deny', subject: user, object: { kind: 'patient', id: `P${(index * 37) % 300_000}` } }
    if (kind < 80) return { ...base, effect: 'allow', subject: user, object: { kind: 'patient', id: `P${(index * 41) % 300_000}` } }
    if (kind < 99) return { ...base, effect: 'only', subject: user, object: { kind: 'exam', id: `exam-${(index * 53) % exams}` } }
    return { ...base, effect: 'deny', subject: user, object: { kind: 'area', id: `区域${index % 200}` } }
  })
}

async function fill(db: Database, made: readonly AccessRule[]): Promise<void> {
  await db.migrate('exam', examMigrations)
  await db.migrate('access', policyMigrations)
  await db.run(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${exams - 1})
    INSERT INTO exam (exam_id, accession_number, patient_id, patient_name, patient_sex, patient_birth_date, patient_age, modality, body_part, description, study_date, study_time,
      study_instance_uid, series_count, instance_count, size_bytes, clinical_history, report_findings, report_impression, received_at, updated_at, campus, department, area,
      requesting_department, requesting_physician, label)
    SELECT 'exam-' || i, 'A' || i, 'P' || (i % 300000), '患者' || (i % 300000), 'M', '1970-01-01', '056Y', CASE i % 4 WHEN 0 THEN 'CT' WHEN 1 THEN 'MR' WHEN 2 THEN 'US' ELSE 'DX' END, '胸部',
      '胸部CT平扫', '2026-11-20', '09:26:00', '2.25.' || i, 3, 300, 150000000, '咳嗽三周，伴发热', substr('两肺纹理清晰，未见明显实变影。气管及支气管通畅，纵隔未见肿大淋巴结。', 1, 30), '未见明显异常',
      ${NOW} - i * 60000, ${NOW}, CASE i % 3 WHEN 0 THEN '总院' WHEN 1 THEN '西院' ELSE '东院' END, '放射科', '区域' || (i % 200), '内科', '', CASE WHEN i % 50 = 0 THEN 'vip' ELSE 'ordinary' END
    FROM n`)
  await db.write(async (tx) => {
    for (const rule of made) await insertRule(tx, rule, { id: 'security', name: '安全管理员' }, NOW)
  })
}

function decisionRow(book: RuleBook): BenchResult['rows'][number] {
  const moment = momentAt(NOW)
  const staff = Array.from({ length: users }, (_value, index) => person(`u${index}`, 'doctor', index % 3 === 0 ? { campuses: campuses.slice(0, 2) } : {}))
  const facts = (index: number): ExamFacts => ({ examId: `exam-${(index * 53) % exams}`, owner, patientId: `P${(index * 37) % 300_000}`, campus: campuses[index % 3]!, department: '放射科', area: `区域${index % 200}`,
    modality: modalities[index % 4]!, label: index % 50 === 0 ? 'vip' : 'ordinary', requestingDepartment: '内科', requestingPhysician: '' }) // prettier-ignore
  const decide = (index: number) => decideExam({ subject: staff[index % users]!, doing: 'view', right: 'image.view', exam: facts(index), relation: 'treating', rules: book, breakGlass: [], moment })
  for (let index = 0; index < 20_000; index++) decide(index)
  const times: number[] = []
  let allowed = 0
  for (let index = 0; index < 100_000; index++) {
    const begun = performance.now()
    if (decide(index).allowed) allowed++
    times.push((performance.now() - begun) * 1_000)
  }
  times.sort((a, b) => a - b)
  return { what: `one decision (${Math.round(allowed / 1_000)} % allowed)`, 'without ms': '', 'with ms': '', ratio: '', 'quickest tenths': '', 'pair by pair': '', 'p50 µs': at(times, 0.5).toFixed(1), 'p95 µs': at(times, 0.95).toFixed(1), 'p99 µs': at(times, 0.99).toFixed(1) }
}

const at = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0

/** Median of pages asked for in turns, so that a busy machine hits both alike. */
async function listRow(db: Database, book: RuleBook, name: string, subject: Subject): Promise<BenchResult['rows'][number]> {
  const question = () => ({ subject, doing: 'list', right: 'exam.list', relation: 'hospital', rules: book, breakGlass: [], moment: momentAt(NOW) }) as const
  const plain = () => listExams(db, { limit: 50 })
  const permitted = () => listExams(db, { limit: 50, permitted: (exam, bind) => examCondition(question(), exam, bind) })
  const times = { without: [] as number[], with: [] as number[] }
  for (const kind of inTurns<keyof typeof times>('without', 'with', 600)) {
    const begun = performance.now()
    await (kind === 'with' ? permitted() : plain())
    times[kind].push(performance.now() - begun)
  }
  const [a, b] = [times.without.slice(50), times.with.slice(50)] // the first ones warm the page cache
  const ratio = (share: number) => (quantile(b, share) / quantile(a, share)).toFixed(2)
  return { what: `page of 50 and its count: ${name}`, 'without ms': median(a).toFixed(2), 'with ms': median(b).toFixed(2), ratio: ratio(0.5), 'quickest tenths': ratio(0.1), 'pair by pair': `+${asPercent(relativeCost(b, a))}`, 'p50 µs': '', 'p95 µs': '', 'p99 µs': '' }
}
