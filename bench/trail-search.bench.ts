import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuditConfig, createLog, searchTrail, Trail, verifyTrail, type AuditFilter } from 'service-kit'
import type { AuditReview } from 'specs'
import { review } from '../service-kit/src/audit/reviews.ts'
import type { BenchResult } from './run.ts'
import { addressOf, addresses, fillTrail, numbers, patientKeyOf, patients, people, personOf, studyOf } from './support/long-trail.ts'
import { quantile } from './support/rounds.ts'

const records = Number(process.env['BENCH_RECORDS'] ?? 5_000_000)
const times = 60
const DAY = 86_400_000
const NOW = Date.now()

/**
 * Searching a trail of five million records (three years of a hospital), pages of 50 with the next page, and verifying it whole. SQLite. Filling it takes minutes;
 * BENCH_RECORDS=1000000 asks for less.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const file = join(folder, 'audit.sqlite')
  const settings = AuditConfig.parse({ checkpointRecords: 1_000_000, checkpointSeconds: 86_400 })
  const trail = await Trail.open({ database: { dialect: 'sqlite', file }, settings, party: 'yunxi', keyFolder: join(folder, 'keys'), callers: [], log: createLog({ name: 'bench', level: 'silent' }) })
  try {
    const began = performance.now()
    await fillTrail(trail, records, NOW)
    const filled = (performance.now() - began) / 1_000
    const rows: BenchResult['rows'] = []
    for (const [what, filterOf] of Object.entries(searches())) rows.push(await searchRow(trail, what, filterOf))
    for (const which of ['night', 'mass-view', 'repeated-denial', 'vip'] as const) rows.push(await reviewRow(trail, which))
    rows.push(await verifyRow(trail))
    return { name: `Audit trail of ${records.toLocaleString('en')} records (SQLite, ${(statSync(file).size / 1e9).toFixed(1)} GB, filled in ${filled.toFixed(0)} s): page of 50 and the next, ${times} each, ms`, rows }
  } finally {
    await trail.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What an audit administrator asks; each question is asked of another person, patient or month every time. */
function searches(): Record<string, () => AuditFilter> {
  const random = numbers(11)
  const person = () => personOf(random(people))
  const span = (days: number) => {
    const from = NOW - DAY * (days + random(1_000 - days))
    return { from, until: from + days * DAY }
  }
  const anybody = () => random(patients)
  return {
    'newest of all': () => ({}),
    'a person': () => ({ actorId: person() }),
    'a person in one month': () => ({ actorId: person(), ...span(30) }),
    'a person who exported': () => ({ actorId: person(), action: ['image.export'] }),
    'a person who was refused': () => ({ actorId: person(), outcome: ['refused', 'failed'] }),
    'who looked at a patient': () => ({ patient: { key: patientKeyOf(anybody()), objectIds: [] } }),
    'a patient with exams and studies': () => {
      const patient = anybody()
      return { patient: { key: patientKeyOf(patient), objectIds: [studyOf(patient * 2), studyOf(patient * 2 + 1), `exam-${patient}`] } }
    },
    'a study': () => ({ objectId: studyOf(anybody() * 2) }),
    'one day': () => span(1),
    'an action': () => ({ action: ['image.view'] }),
    'a rare action in one year': () => ({ action: ['account.create'], ...span(365) }),
    'a group of rare actions': () => ({ action: ['account.create', 'account.change', 'rule.change', 'rule.delete'] }),
    refused: () => ({ outcome: ['refused', 'failed'] }),
    'refused in one month': () => ({ outcome: ['refused'], ...span(30) }),
    'a rare action that was refused': () => ({ outcome: ['refused'], action: ['break-glass.open'] }),
    'an address': () => ({ sourceIp: addressOf(random(addresses)) }),
    'an address never seen': () => ({ sourceIp: '192.0.2.1' }),
    'exams of another hospital': () => ({ owner: `hospital-${random(12)}` as never }),
    'a hospital never seen': () => ({ owner: 'hospital-99' as never }),
    'a kind of object never seen': () => ({ objectType: 'backup' }),
    'a person never seen': () => ({ actorId: 'nobody' }),
  }
}

async function searchRow(trail: Trail, what: string, filterOf: () => AuditFilter): Promise<BenchResult['rows'][number]> {
  const taken: number[] = []
  let found = 0
  for (let time = 0; time < times; time++) {
    const filter = filterOf()
    for (let after: string | undefined, page = 0; page < 2; page++) {
      const began = performance.now()
      const { rows, next } = await searchTrail(trail.db, filter, { limit: 50, after })
      taken.push(performance.now() - began)
      found += rows.length
      if (next === null) break
      after = next
    }
  }
  return { what, p50: quantile(taken, 0.5).toFixed(1), p95: quantile(taken, 0.95).toFixed(1), longest: Math.max(...taken).toFixed(1), 'rows found': Math.round(found / times) }
}

async function reviewRow(trail: Trail, which: AuditReview): Promise<BenchResult['rows'][number]> {
  const taken: number[] = []
  let found = 0
  for (let month = 1; month <= 5; month++) {
    const began = performance.now()
    found += (await review(trail.db, which, { from: NOW - month * 30 * DAY, until: NOW - (month - 1) * 30 * DAY }, trail.settings)).length
    taken.push(performance.now() - began)
  }
  return { what: `review of a month: ${which}`, p50: quantile(taken, 0.5).toFixed(1), p95: '', longest: Math.max(...taken).toFixed(1), 'rows found': Math.round(found / 5) }
}

async function verifyRow(trail: Trail): Promise<BenchResult['rows'][number]> {
  const began = performance.now()
  const { findings, records: read } = await verifyTrail(trail.db, await trail.proof())
  const seconds = (performance.now() - began) / 1_000
  if (findings.length > 0) throw new Error(`the trail does not verify: ${JSON.stringify(findings[0])}`)
  return { what: `verify ${read.toLocaleString('en')} records`, p50: `${seconds.toFixed(1)} s`, p95: `${(seconds / (read / 1e6)).toFixed(1)} s per million`, longest: '', 'rows found': findings.length }
}
