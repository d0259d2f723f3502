import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditRecord } from 'specs'
import { openDatabase, type Database } from '../database/index.ts'
import { createLog } from '../log/index.ts'
import { AuditConfig } from './config.ts'
import { Trail } from './trail.ts'

let folder: string
let caller: Database
let trail: Trail
const log = createLog({ name: 'test', level: 'silent' })
const wang = { kind: 'user', id: 'u1', name: '王医生', roles: ['doctor'], sessionId: 's1', sourceIp: '10.1.2.3' } as const

const openTrail = () =>
  Trail.open({
    database: { dialect: 'sqlite', file: join(folder, 'audit.sqlite') },
    settings: AuditConfig.parse({}),
    party: 'yunxi',
    keyFolder: join(folder, 'keys'),
    callers: [caller],
    log,
  })
const bodies = async (): Promise<AuditRecord[]> => {
  const rows = await trail.db.all<{ body: string }>('SELECT body FROM audit_record ORDER BY seq')
  return rows.map(({ body }) => AuditRecord.parse(JSON.parse(body)))
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
  caller = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await caller.run('CREATE TABLE fact (id TEXT PRIMARY KEY)')
  trail = await openTrail()
})
afterEach(async () => {
  await trail.close()
  await caller.close()
  await rm(folder, { recursive: true })
})

describe('the audit trail', () => {
  it('keeps who did what to what, when, from where and with which result, and chains the records', async () => {
    // SEC-12, SEC-08
    await trail.record({ action: 'exam.change', outcome: 'success', actor: wang, object: { type: 'exam', id: 'e1' }, before: { bodyPart: 'CHEST' }, after: { bodyPart: 'ABDOMEN' } })
    await trail.record({ action: 'exam.change', outcome: 'refused', actor: wang, object: { type: 'exam', id: 'e2' }, code: 'access/forbidden' })
    const [first, second] = await bodies()
    expect(first).toMatchObject({ seq: 1, node: 'yunxi', action: 'exam.change', outcome: 'success', actor: wang, before: { bodyPart: 'CHEST' }, after: { bodyPart: 'ABDOMEN' } })
    expect(first?.beforeDigest).not.toBe(first?.afterDigest)
    const { hash } = (await trail.db.get<{ hash: string }>('SELECT hash FROM audit_record WHERE seq = 1')) ?? {}
    expect(second).toMatchObject({ seq: 2, prevHash: hash, outcome: 'refused', code: 'access/forbidden' })
  })

  it('writes down neither passwords nor identity or telephone numbers, also not inside texts', async () => {
    // SEC-12
    const registered = { patientName: '张秀兰', patientId: 'P-77', idCard: '11010519491231002X', phone: '13812348888', password: 'geheim-1', note: '联系 13812348888，证件 11010519491231002X' }
    await trail.record({ action: 'patient.change', outcome: 'success', actor: wang, after: registered, reason: '电话 13812348888' })
    const { body } = (await trail.db.get<{ body: string }>('SELECT body FROM audit_record')) ?? { body: '' }
    for (const secret of ['11010519491231002X', '13812348888', 'geheim-1', 'P-77']) expect(body).not.toContain(secret)
    expect(body).toContain('张秀兰')
    expect(body).toContain('110105********002X')
  })

  it('folds a thousand frames of one study into two records that tell how many there were', async () => {
    for (let frame = 0; frame < 1_000; frame++) trail.note({ action: 'image.view', outcome: 'success', actor: wang, object: { type: 'study', id: '1.2.3' } })
    trail.note({ action: 'image.view', outcome: 'success', actor: { ...wang, id: 'u2' }, object: { type: 'study', id: '1.2.3' } })
    await trail.settle()
    const records = await bodies()
    expect(records.map(({ actor, count }) => [actor.id, count])).toEqual([['u1', undefined], ['u2', undefined], ['u1', 999]])
  })

  it('tells each change of state, however soon it follows one like it', async () => {
    // FED-28
    const fault = { action: 'system.fault', outcome: 'failed', actor: { kind: 'hospital', id: 'b' }, object: { type: 'component', id: 'node' } } as const
    for (let time = 0; time < 2; time++) {
      trail.note(fault, { each: true })
      trail.note({ ...fault, action: 'system.recovery', outcome: 'success' }, { each: true })
    }
    await trail.flush()
    expect((await bodies()).map(({ action }) => action)).toEqual(['system.fault', 'system.recovery', 'system.fault', 'system.recovery'])
  })

  it('saves an event together with its fact: both, or neither', async () => {
    await caller.write(async (tx) => {
      await tx.run(`INSERT INTO fact (id) VALUES ('kept')`)
      await trail.within(tx, { action: 'grant.issue', outcome: 'success', actor: wang, object: { type: 'grant', id: 'kept' } })
    })
    const undone = caller.write(async (tx) => {
      await trail.within(tx, { action: 'grant.issue', outcome: 'success', actor: wang, object: { type: 'grant', id: 'undone' } })
      throw new Error('changed its mind')
    })
    await expect(undone).rejects.toThrow('changed its mind')
    await trail.settle()
    expect((await bodies()).map(({ object }) => object?.id)).toEqual(['kept'])
    expect(await caller.all('SELECT * FROM audit_pending')).toEqual([])
  })

  it('moves an event once, also when a process died between the two databases', async () => {
    await caller.write((tx) => trail.within(tx, { action: 'grant.issue', outcome: 'success', actor: wang, object: { type: 'grant', id: 'g' } }))
    const [row] = await caller.all<{ event_id: string; at: number; body: string }>('SELECT event_id, at, body FROM audit_pending')
    await trail.settle()
    // The row that a killed process would have left behind.
    const left = row ?? { event_id: (await bodies())[0]?.eventId ?? '', at: 1, body: JSON.stringify((await bodies())[0]) }
    await caller.run('INSERT INTO audit_pending (event_id, at, body) VALUES ($1, $2, $3)', [left.event_id, left.at, left.body])
    await trail.settle()
    expect(await bodies()).toHaveLength(1)
    expect(await caller.all('SELECT * FROM audit_pending')).toEqual([])
  })

  it('refuses change and removal in the database itself', async () => {
    // SEC-12
    await trail.record({ action: 'audit.read', outcome: 'success', actor: wang })
    await expect(trail.db.run(`UPDATE audit_record SET action = 'x'`)).rejects.toThrow('append-only')
    await expect(trail.db.run('DELETE FROM audit_record')).rejects.toThrow('append-only')
  })

  it('says so and refuses while it cannot be written, and keeps notes until it can', async () => {
    await trail.db.run('ALTER TABLE audit_head RENAME TO audit_head_away')
    trail.note({ action: 'exam.read', outcome: 'success', actor: wang, object: { type: 'exam', id: 'e1' } })
    await expect(trail.record({ action: 'image.export', outcome: 'success', actor: wang })).rejects.toMatchObject({ code: 'audit/unavailable' })
    expect(trail.available).toBe(false)
    expect(() => trail.health()).toThrow('audit/unavailable')
    await trail.db.run('ALTER TABLE audit_head_away RENAME TO audit_head')
    await trail.settle()
    expect(trail.available).toBe(true)
    expect((await bodies()).map(({ action }) => action)).toEqual(['exam.read'])
  })

  it('goes on with the same chain after a restart', async () => {
    await trail.record({ action: 'system.start', outcome: 'success' })
    await trail.close()
    trail = await openTrail()
    await trail.record({ action: 'system.start', outcome: 'success' })
    expect((await bodies()).map(({ seq, actor }) => [seq, actor])).toEqual([[1, { kind: 'system', id: 'yunxi' }], [2, { kind: 'system', id: 'yunxi' }]])
  })
})
