import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AuditConfig, createLog, openDatabase, Trail, verifyTrail, type Database } from '../../src/index.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

const teller = fileURLToPath(new URL('../support/audit-teller.ts', import.meta.url))
let folder: string
let postgres: TestPostgres
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
  postgres = await startPostgres()
})
afterAll(async () => {
  await postgres.stop()
  await rm(folder, { recursive: true })
})

interface Teller {
  readonly child: ChildProcess
  /** Ids of events that the process said are kept. */
  readonly promised: string[]
  readonly ready: Promise<void>
}

function startTeller(where: string, database: string, name: string, rounds?: number): Teller {
  const child = spawn(process.execPath, ['--import', 'tsx', teller, where, database, name, ...(rounds === undefined ? [] : [String(rounds)])], { stdio: ['ignore', 'pipe', 'inherit'] })
  const promised: string[] = []
  let rest = ''
  let isReady = () => {}
  const ready = new Promise<void>((resolve) => (isReady = resolve))
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === 'ready') isReady()
      else promised.push(line.split(' ')[1] ?? '')
    }
  })
  return { child, promised, ready }
}

async function toldObjects(db: Database): Promise<string[]> {
  const rows = await db.all<{ id: string }>(`SELECT object_id AS "id" FROM audit_record WHERE action = 'exam.change' ORDER BY seq`)
  return rows.map(({ id }) => id)
}

describe('the audit trail among processes', () => {
  it('keeps every promised event once, and a chain without a fault, through six kills in the middle of writing', async () => {
    // SEC-12
    const where = await mkdtemp(join(folder, 'kill-'))
    const database = join(where, 'audit.sqlite')
    const promised: string[] = []
    for (let round = 0; round < 6; round++) {
      const { child, promised: said, ready } = startTeller(where, database, 'node')
      await ready
      await delay(60 + Math.random() * 300)
      child.kill('SIGKILL')
      await once(child, 'close')
      promised.push(...said)
    }
    const caller = await openDatabase({ dialect: 'sqlite', file: join(where, 'node.sqlite') })
    const trail = await Trail.open({ database: { dialect: 'sqlite', file: database }, settings: AuditConfig.parse({}), party: 'yunxi', keyFolder: join(where, 'keys'), callers: [caller], log: createLog({ name: 'test', level: 'silent' }) })
    await trail.settle()
    const told = await toldObjects(trail.db)
    const facts = (await caller.all<{ id: string }>('SELECT id FROM fact')).map(({ id }) => id)
    const { findings, records } = await verifyTrail(trail.db)
    await trail.close()
    await caller.close()
    expect(promised.length).toBeGreaterThan(100)
    expect(promised.filter((id) => !told.includes(id))).toEqual([])
    // A fact that was committed has its event, told of or not; an event of a fact exists once.
    expect(facts.filter((id) => !told.includes(id))).toEqual([])
    expect(told.filter((id) => id.includes('-fact-')).sort()).toEqual(facts.sort())
    expect(new Set(told).size).toBe(told.length)
    expect(findings).toEqual([])
    expect(records).toBe(told.length)
  }, 200_000)

  it('is one chain when two processes write it together on PostgreSQL, also when one of them is killed', async () => {
    // SEC-12, ARC-09
    const url = await postgres.newDatabase()
    const where = await mkdtemp(join(folder, 'two-'))
    const first = startTeller(where, url, 'first')
    await first.ready // two that begin together would both make the tables; the second waits for the lock, too
    const second = startTeller(where, url, 'second', 60)
    const ended = once(second.child, 'close')
    await second.ready
    await delay(1_500)
    first.child.kill('SIGKILL')
    await ended
    const db = await openDatabase({ dialect: 'postgres', url, schema: 'audit' })
    const told = await toldObjects(db)
    const verdict = await verifyTrail(db)
    await db.close()
    expect(verdict.findings).toEqual([])
    expect(verdict.checkpoints).toBeGreaterThan(1)
    expect(second.promised.filter((id) => !told.includes(id))).toEqual([])
    expect(first.promised.filter((id) => id.includes('-record-') && !told.includes(id))).toEqual([])
    expect(new Set(told).size).toBe(told.length)
    // Both were at it at the same time, not one after the other.
    const writers = told.map((id) => id.split('-')[0])
    expect(writers.lastIndexOf('first')).toBeGreaterThan(writers.indexOf('second'))
  })

  it('refuses change and removal on PostgreSQL, too, and names what somebody changed who took the fence away', async () => {
    // SEC-12
    const url = await postgres.newDatabase()
    const where = await mkdtemp(join(folder, 'fence-'))
    const { child } = startTeller(where, url, 'node', 20)
    await once(child, 'close')
    const db = await openDatabase({ dialect: 'postgres', url, schema: 'audit' })
    for (const attack of [`UPDATE audit_record SET actor_id = 'x'`, 'DELETE FROM audit_record', 'TRUNCATE audit_record', `UPDATE audit_checkpoint SET hash = 'x'`, 'DELETE FROM audit_checkpoint']) {
      await expect(db.run(attack), attack).rejects.toThrow('append-only')
    }
    await db.run('ALTER TABLE audit_record DISABLE TRIGGER ALL')
    await db.run(`UPDATE audit_record SET body = REPLACE(body, 'success', 'refused') WHERE seq = 7`)
    await db.run('DELETE FROM audit_record WHERE seq = 12')
    const { findings } = await verifyTrail(db)
    await db.close()
    expect(findings.map(({ kind, seq }) => [kind, seq])).toEqual([['changed', 7], ['removed', 12]])
  })
})
