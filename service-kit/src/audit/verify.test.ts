import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditRecord, canonicalJson, type SignedCheckpoint } from 'specs'
import { createLog } from '../log/index.ts'
import { chain, columnsOf, COLUMNS, GENESIS, type Head } from './chain.ts'
import { AuditConfig } from './config.ts'
import { retire } from './retention.ts'
import { Trail } from './trail.ts'
import { verifyTrail } from './verify.ts'

const DAY = 86_400_000
let folder: string
let trail: Trail
let now = Date.parse('2026-11-01T08:00:00Z')

/** Ten records, a checkpoint after the fifth and the tenth. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
  now = Date.parse('2026-11-01T08:00:00Z')
  trail = await openTrail('audit.sqlite')
  await tellTen(trail)
})
afterEach(async () => {
  await trail.close()
  await rm(folder, { recursive: true })
})

const openTrail = (file: string) =>
  Trail.open({
    database: { dialect: 'sqlite', file: join(folder, file) },
    settings: AuditConfig.parse({ checkpointSeconds: 86_400, checkpointRecords: 1_000_000 }),
    party: 'yunxi',
    keyFolder: join(folder, 'keys'),
    callers: [],
    log: createLog({ name: 'test', level: 'silent' }),
    now: () => now,
  })
async function tellTen(into: Trail): Promise<void> {
  for (let number = 1; number <= 10; number++) {
    await into.record({ action: 'exam.read', outcome: 'success', actor: { kind: 'user', id: 'wang' }, object: { type: 'exam', id: `exam-${number}` } })
    if (number % 5 === 0) await into.makeCheckpoint()
  }
}
const checkpoints = async (of: Trail = trail): Promise<SignedCheckpoint[]> => (await of.checkpoints.list({ limit: 100 })).map(({ checkpoint, signed }) => ({ checkpoint, signed }))

/** What somebody with the keys to the database does first. */
async function dropFences(): Promise<void> {
  const triggers = await trail.db.all<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'trigger'`)
  for (const { name } of triggers) await trail.db.run(`DROP TRIGGER ${name}`)
}
async function record(seq: number): Promise<AuditRecord> {
  const row = await trail.db.get<{ body: string }>('SELECT body FROM audit_record WHERE seq = $1', [seq])
  return AuditRecord.parse(JSON.parse(row?.body ?? ''))
}
/** Writes records anew from `seq` on, every hash and column right: the work of somebody who knows how it is done. */
async function rewriteFrom(seq: number, change: (record: AuditRecord) => AuditRecord): Promise<void> {
  const before = seq === 1 ? GENESIS : (await record(seq)).prevHash
  const records = await Promise.all(Array.from({ length: 11 - seq }, (_each, index) => record(seq + index)))
  const rewritten = chain({ seq: seq - 1, hash: before }, records.map(change), now)
  for (const { record: each, body, hash } of rewritten) {
    const set = COLUMNS.map((column, index) => `${column} = $${index + 1}`).join(', ')
    await trail.db.run(`UPDATE audit_record SET ${set}, body = $${COLUMNS.length + 1}, hash = $${COLUMNS.length + 2} WHERE seq = $1`, [...columnsOf(each), body, hash])
  }
  await trail.db.run('UPDATE audit_head SET hash = $1', [rewritten.at(-1)?.hash ?? ''])
}
/** What only somebody can make who holds the key of the trail's end, too. */
async function sealOfHead(): Promise<string> {
  const head = await trail.db.get<Head>('SELECT trail_id AS "trailId", seq, hash FROM audit_head')
  return trail.tail.seal(head as Head)
}
const findings = async (witnesses: SignedCheckpoint[] = []) => (await verifyTrail(trail.db, { witnesses })).findings

describe('verifying an audit trail', () => {
  it('finds an untouched trail whole', async () => {
    // SEC-12
    expect(await verifyTrail(trail.db, { witnesses: await checkpoints() })).toMatchObject({ records: 10, lastSeq: 10, checkpoints: 2, witnesses: 2, findings: [] })
  })

  it('names the record whose content was changed', async () => {
    // SEC-12
    await dropFences()
    const changed = { ...(await record(4)), actor: { kind: 'user', id: 'somebody-else' } }
    await trail.db.run('UPDATE audit_record SET body = $1 WHERE seq = 4', [canonicalJson(changed)])
    expect(await findings()).toMatchObject([{ kind: 'changed', seq: 4, eventId: changed.eventId }])
  })

  it('names the record of which only a search column was changed', async () => {
    await dropFences()
    await trail.db.run(`UPDATE audit_record SET actor_id = 'li' WHERE seq = 7`)
    expect(await findings()).toMatchObject([{ kind: 'changed', seq: 7, detail: expect.stringContaining('actor_id') as string }])
  })

  it('names a record that was changed and given a right hash', async () => {
    await dropFences()
    const [rewritten] = chain({ seq: 3, hash: (await record(4)).prevHash }, [{ ...(await record(4)), outcome: 'refused' }], now)
    await trail.db.run(`UPDATE audit_record SET body = $1, hash = $2, outcome = 'refused' WHERE seq = 4`, [rewritten?.body ?? '', rewritten?.hash ?? ''])
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 4, toSeq: 5 }])
  })

  it('names what was removed', async () => {
    // SEC-12
    await dropFences()
    await trail.db.run('DELETE FROM audit_record WHERE seq IN (3, 4)')
    expect(await findings()).toMatchObject([{ kind: 'removed', seq: 3, toSeq: 4 }])
  })

  it('names records that changed places', async () => {
    await dropFences()
    await trail.db.run('UPDATE audit_record SET seq = -seq, event_id = event_id WHERE seq IN (6, 7)')
    await trail.db.run('UPDATE audit_record SET seq = 13 + seq WHERE seq < 0')
    expect((await findings()).map(({ kind, seq }) => [kind, seq])).toEqual(expect.arrayContaining([['reordered', 6], ['reordered', 7]]))
  })

  it('names a record that was put in', async () => {
    await dropFences()
    const [forged] = chain({ seq: 10, hash: (await trail.db.get<{ hash: SignedCheckpoint['checkpoint']['hash'] }>('SELECT hash FROM audit_record WHERE seq = 10'))?.hash ?? GENESIS }, [{ ...(await record(4)), eventId: 'forged' }], now)
    if (!forged) throw new Error('nothing forged')
    const params = [...columnsOf(forged.record), forged.body, forged.hash]
    await trail.db.run(`INSERT INTO audit_record (${COLUMNS.join(', ')}, body, hash) VALUES (${params.map((_p, index) => `$${index + 1}`).join(', ')})`, params)
    expect(await findings()).toMatchObject([{ kind: 'inserted', seq: 11 }])
  })

  it('sees a cut tail by the head, and by the checkpoint when the head was cut as well', async () => {
    // SEC-12
    await dropFences()
    await trail.db.run('DELETE FROM audit_record WHERE seq > 8')
    expect(await findings()).toMatchObject([{ kind: 'truncated', seq: 9, toSeq: 10 }])
    const row = await trail.db.get<{ hash: string }>('SELECT hash FROM audit_record WHERE seq = 8')
    await trail.db.run('UPDATE audit_head SET seq = 8, hash = $1', [row?.hash ?? ''])
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 8 }, { kind: 'truncated', seq: 9, toSeq: 10 }])
    const kept = await checkpoints()
    await trail.db.run('DELETE FROM audit_checkpoint WHERE seq > 8')
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 8 }]) // nobody has signed this head
    await trail.db.run('UPDATE audit_head SET sealed = $1', [await sealOfHead()])
    expect(await findings()).toEqual([]) // whoever has the key as well deceives the database alone
    expect(await findings(kept)).toMatchObject([{ kind: 'truncated', seq: 9, toSeq: 10 }]) // and not the witness
  })

  it('finds a chain rewritten with every hash right by its signed checkpoints', async () => {
    // SEC-12
    await dropFences()
    await rewriteFrom(7, (each) => ({ ...each, actor: { kind: 'user', id: 'li' } }))
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10 }])
  })

  it('finds a chain rewritten and signed anew by the witness', async () => {
    // SEC-12
    const kept = await checkpoints()
    await dropFences()
    await rewriteFrom(2, (each) => ({ ...each, actor: { kind: 'user', id: 'li' } }))
    await trail.db.run('DELETE FROM audit_checkpoint')
    await trail.db.run('UPDATE audit_head SET sealed = $1', [await sealOfHead()])
    expect(await findings()).toEqual([]) // whoever has the key as well deceives the database alone
    expect(await findings(kept)).toMatchObject([{ kind: 'rewritten', toSeq: 5 }]) // and not the witness
    await trail.checkpoints.open()
    expect(await trail.makeCheckpoint()).toBeUndefined() // nor the running service, which signs no end but its own
    await trail.settle()
    expect(await findings(kept)).toMatchObject([{ kind: 'rewritten', toSeq: 5 }, { kind: 'rewritten', action: 'audit.alarm', toSeq: 10 }])
  })

  it('finds a trail that took the place of another', async () => {
    const kept = await checkpoints()
    const other = await openTrail('other.sqlite')
    await tellTen(other)
    const verdict = await verifyTrail(other.db, { witnesses: kept })
    await other.close()
    expect(verdict.findings[0]).toMatchObject({ kind: 'replaced' })
  })

  it('finds a checkpoint that was not signed by us', async () => {
    await dropFences()
    const [last] = await checkpoints()
    const forged = { ...last, checkpoint: { ...last?.checkpoint, at: 1 } }
    await trail.db.run('UPDATE audit_checkpoint SET signed = $1 WHERE seq = 10', [JSON.stringify(forged)])
    expect(await findings()).toMatchObject([{ kind: 'signature', seq: 10 }])
  })
})

describe('retention of an audit trail', () => {
  it('removes whole checkpointed prefixes, and the chain still verifies, with its old witnesses too', async () => {
    // SEC-08, SEC-12: retention set, six months at least
    const kept = await checkpoints()
    now += 1_100 * DAY
    await trail.record({ action: 'exam.read', outcome: 'success', object: { type: 'exam', id: 'new' } })
    expect(await retire(trail)).toBe(10)
    expect(await verifyTrail(trail.db, { witnesses: kept })).toMatchObject({ records: 2, firstSeq: 11, findings: [] })
  })

  it('keeps what is younger, and what no checkpoint covers', async () => {
    now += 100 * DAY
    expect(await retire(trail)).toBe(0)
    expect(() => AuditConfig.parse({ retentionDays: 90 })).toThrow('six months')
  })

  it('does not let anybody else shorten the chain', async () => {
    await dropFences()
    await trail.db.run(`INSERT INTO audit_stub (seq, hash, at, signed) SELECT 5, hash, 1, '{}' FROM audit_record WHERE seq = 5`)
    await trail.db.run('DELETE FROM audit_record WHERE seq <= 5')
    expect(await findings()).toMatchObject([{ kind: 'signature', seq: 5 }])
  })
})
