import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AuditAction, AuditEvent, AuditOutcome, AuditRow } from 'specs'
import type { Database } from '../database/index.ts'
import { createLog } from '../log/index.ts'
import { AuditConfig } from './config.ts'
import { searchTrail, type AuditFilter } from './search.ts'
import { Trail } from './trail.ts'

const actions: readonly AuditAction[] = ['exam.read', 'image.view', 'account.change', 'rule.change']
const outcomes: readonly AuditOutcome[] = ['success', 'refused', 'failed']
const NOW = Date.parse('2026-11-01T08:00:00Z')
const COUNT = 400
let folder: string
let trail: Trail
let all: AuditRow[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
  const database = { dialect: 'sqlite', file: join(folder, 'audit.sqlite') } as const
  trail = await Trail.open({ database, settings: AuditConfig.parse({}), party: 'yunxi', keyFolder: folder, callers: [], log: createLog({ name: 'test', level: 'silent' }) })
  // Several at the same moment, so that the order within it matters to a page.
  await Promise.all(Array.from({ length: COUNT }, (_each, index) => trail.record(eventOf(index))))
  all = (await searchTrail(trail.db, {}, { limit: COUNT })).rows
})
afterAll(async () => {
  await trail.close()
  await rm(folder, { recursive: true })
})

const eventOf = (index: number): AuditEvent => ({
  action: actions[(index * 7) % 11 % actions.length]!,
  outcome: outcomes[index % 13 === 0 ? 1 : index % 17 === 0 ? 2 : 0]!,
  at: NOW - Math.floor(index / 3) * 60_000,
  actor: { kind: 'user', id: `u${index % 9}`, sourceIp: `10.0.0.${index % 5}` },
  object: { type: index % 4 === 0 ? 'exam' : 'study', id: `s${index % 30}`, owner: (index % 6 === 0 ? 'qinglan' : 'yunxi') as never, ...(index % 2 === 0 && { patientKey: `p${index % 10}` }) },
})

const questions: Readonly<Record<string, AuditFilter>> = {
  'everything': {},
  'one person': { actorId: 'u3' },
  'one person, several actions, in a span': { actorId: 'u3', action: ['exam.read', 'account.change'], from: NOW - 5_000_000, until: NOW - 600_000 },
  'one action': { action: ['image.view'] },
  'several actions': { action: ['account.change', 'rule.change', 'exam.read'] },
  'several actions at another hospital': { action: ['account.change', 'rule.change'], owner: 'qinglan' },
  'what was refused or failed': { outcome: ['refused', 'failed'] },
  'what was refused or failed of several actions': { outcome: ['refused', 'failed'], action: ['exam.read', 'image.view'] },
  'what succeeded or was refused': { outcome: ['success', 'refused'] },
  'what succeeded': { outcome: ['success'], objectType: 'exam' },
  'an address': { sourceIp: '10.0.0.2', outcome: ['refused', 'failed'] },
  'another hospital': { owner: 'qinglan' },
  'a kind of object': { objectType: 'study' },
  'an object': { objectId: 's7' },
  'a patient': { patient: { key: 'p4', objectIds: [] } },
  'a patient and what belongs to it': { patient: { key: 'p4', objectIds: ['s4', 's7', 's9'] }, action: ['exam.read', 'image.view'] },
}

/** The same question, asked row by row. */
const isMeant = (row: AuditRow, { from, until, actorId, action, outcome, objectType, objectId, patient, sourceIp, owner }: AuditFilter): boolean =>
  (from === undefined || row.at >= from) &&
  (until === undefined || row.at < until) &&
  (actorId === undefined || row.actor.id === actorId) &&
  (action?.includes(row.action) ?? true) &&
  (outcome?.includes(row.outcome) ?? true) &&
  (objectType === undefined || row.object?.type === objectType) &&
  (objectId === undefined || row.object?.id === objectId) &&
  (patient === undefined || row.object?.patientKey === patient.key || patient.objectIds.includes(row.object?.id ?? '')) &&
  (sourceIp === undefined || row.actor.sourceIp === sourceIp) &&
  (owner === undefined || row.object?.owner === owner)

describe('searching an audit trail', () => {
  it.each(Object.keys(questions))('finds %s, newest first, page by page', async (name) => {
    // SEC-12
    const filter = questions[name] ?? {}
    const found: number[] = []
    for (let after: string | undefined, pages = 0; pages < 100; pages++) {
      const { rows, next } = await searchTrail(trail.db, filter, { limit: 7, after })
      found.push(...rows.map(({ seq }) => seq))
      if (next === null) break
      after = next
    }
    expect(found).toEqual(all.filter((row) => isMeant(row, filter)).map(({ seq }) => seq))
    expect(found.length).toBeGreaterThan(0)
  })

  it.each(Object.keys(questions))('asks for %s in the order of an index: nothing is sorted, and no table is read through', async (name) => {
    const plans: string[] = []
    const asked = {
      dialect: 'sqlite',
      all: async (sql: string, params: readonly string[]) => {
        const steps = await trail.db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params)
        plans.push(...steps.map(({ detail }) => detail))
        return []
      },
    } as unknown as Database
    await searchTrail(asked, questions[name] ?? {}, { limit: 50, after: `${NOW}.9` })
    expect(plans.length).toBeGreaterThan(0)
    for (const step of plans) expect(step).toMatch(/^SEARCH audit_record USING INDEX audit_record_\w+ \(/)
  })
})
