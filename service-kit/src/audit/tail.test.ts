import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditRecord, type SignedHead } from 'specs'
import { openDatabase, type Database } from '../database/index.ts'
import { createLog } from '../log/index.ts'
import { chain, columnsOf, COLUMNS } from './chain.ts'
import { AuditConfig } from './config.ts'
import { TAIL_MEMORY } from './tail.ts'
import { Trail } from './trail.ts'
import { verifyTrail } from './verify.ts'

let folder: string
let trail: Trail

const openTrail = () =>
  Trail.open({
    database: { dialect: 'sqlite', file: join(folder, 'audit.sqlite') },
    settings: AuditConfig.parse({ checkpointSeconds: 86_400, checkpointRecords: 1_000_000 }),
    party: 'yunxi',
    keyFolder: join(folder, 'keys'),
    callers: [],
    log: createLog({ name: 'test', level: 'silent' }),
  })
const tell = async (count: number, of: Trail = trail) => {
  for (let number = 1; number <= count; number++) await of.record({ action: 'exam.read', outcome: 'success', actor: { kind: 'user', id: 'wang' }, object: { type: 'exam', id: `exam-${number}` } })
}
/** What the verification knows besides the database: public keys, and with `remembered` what lies in the key folder. */
const findings = async ({ remembered = false } = {}) => {
  const { remembered: head, ...keys } = await trail.proof()
  return (await verifyTrail(trail.db, { ...keys, ...(remembered && { remembered: head }) })).findings
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
  trail = await openTrail()
  await tell(5)
  await trail.makeCheckpoint()
  await tell(5)
  const triggers = await trail.db.all<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'trigger'`)
  for (const { name } of triggers) await trail.db.run(`DROP TRIGGER ${name}`)
})
afterEach(async () => {
  await trail.close()
  await rm(folder, { recursive: true })
})

interface Head {
  seq: number
  hash: string
  sealed: string
}
const head = async () => (await trail.db.get<Head>('SELECT seq, hash, sealed FROM audit_head')) as Head
const setHead = ({ seq, hash, sealed }: { seq: number; hash: string; sealed: string | null }) => trail.db.run('UPDATE audit_head SET seq = $1, hash = $2, sealed = $3', [seq, hash, sealed])

/** Somebody with the database and the source code: the tail from record 8 on tells of another person, every hash and column is right. @returns the last hash. */
async function forgeTail(): Promise<string> {
  const rows = await trail.db.all<{ body: string }>('SELECT body FROM audit_record WHERE seq >= 8 ORDER BY seq')
  const records = rows.map(({ body }) => AuditRecord.parse(JSON.parse(body)))
  const forged = chain({ seq: 7, hash: records[0]?.prevHash as never }, records.map((each) => ({ ...each, actor: { kind: 'user' as const, id: 'li' } })), Date.now())
  for (const { record, body, hash } of forged) {
    const set = COLUMNS.map((column, index) => `${column} = $${index + 1}`).join(', ')
    await trail.db.run(`UPDATE audit_record SET ${set}, body = $${COLUMNS.length + 1}, hash = $${COLUMNS.length + 2} WHERE seq = $1`, [...columnsOf(record), body, hash])
  }
  return forged.at(-1)?.hash ?? ''
}

describe('the end of an audit trail', () => {
  it('is vouched for from the last checkpoint to the newest record', async () => {
    // SEC-12
    expect(await findings({ remembered: true })).toEqual([])
  })

  it('cannot be rewritten behind the last checkpoint by whoever holds the database', async () => {
    // SEC-12
    await setHead({ ...(await head()), hash: await forgeTail() })
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10 }])
  })

  it('is not vouched for when the signature is taken away', async () => {
    await setHead({ ...(await head()), sealed: null })
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10 }])
  })

  it('cannot be signed with a key of the forger’s own', async () => {
    const hash = await forgeTail()
    const elsewhere = await mkdtemp(join(tmpdir(), 'lianpian-audit-'))
    const other = await Trail.open({ database: { dialect: 'sqlite', file: join(elsewhere, 'audit.sqlite') }, settings: trail.settings, party: 'yunxi', keyFolder: elsewhere, callers: [], log: trail.log })
    const { trailId } = (await trail.db.get<{ trailId: string }>('SELECT trail_id AS "trailId" FROM audit_head'))!
    await setHead({ seq: 10, hash, sealed: other.tail.seal({ trailId, seq: 10, hash: hash as never }) })
    await other.close()
    await rm(elsewhere, { recursive: true })
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10 }])
  })

  it('that was forged under a running service is noted by it in the chain, and named for good', async () => {
    // SEC-12
    await setHead({ ...(await head()), hash: await forgeTail() })
    await tell(1)
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10, action: 'audit.alarm' }])
    await trail.makeCheckpoint()
    expect(await findings({ remembered: true })).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10, action: 'audit.alarm' }])
  })

  it('that was forged is not signed by a checkpoint', async () => {
    await setHead({ ...(await head()), hash: await forgeTail() })
    expect(await trail.makeCheckpoint()).toBeUndefined()
    await trail.settle()
    expect(await trail.makeCheckpoint()).toMatchObject({ checkpoint: { seq: 11 } })
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10 }])
  })

  it('that was forged while the service was down is noted at its next start', async () => {
    const before = await head()
    await setHead({ ...before, hash: await forgeTail() })
    const forged = await head()
    await setHead(before) // the running service has nothing to add when it ends
    await trail.close()
    await withDatabase((db) => db.run('UPDATE audit_head SET hash = $1', [forged.hash]))
    trail = await openTrail()
    await tell(1)
    expect(await findings()).toMatchObject([{ kind: 'rewritten', action: 'audit.alarm', toSeq: 10 }])
  })

  it('put back to an older end that was once genuine is noted by the service, and found by what is remembered outside', async () => {
    // SEC-12
    const older = await head()
    await tell(3)
    await trail.db.run('DELETE FROM audit_record WHERE seq > 10')
    await setHead(older)
    expect(await findings()).toEqual([]) // the database alone cannot know
    await trail.tail.close()
    expect(await findings({ remembered: true })).toMatchObject([{ kind: 'truncated', seq: 11, toSeq: 13 }])
    await tell(1)
    expect(await findings()).toMatchObject([{ kind: 'truncated', seq: 11, toSeq: 13, action: 'audit.alarm' }])
  })

  it('remembers outside the database across a restart', async () => {
    const older = await head()
    await tell(3)
    await trail.close()
    const { head: kept } = JSON.parse(await readFile(join(folder, 'keys', TAIL_MEMORY), 'utf8')) as SignedHead
    expect(kept).toMatchObject({ seq: 13, party: 'yunxi' })
    trail = await openTrail()
    await trail.db.run('DELETE FROM audit_record WHERE seq > 10')
    await setHead(older)
    await tell(1)
    expect(await findings()).toMatchObject([{ kind: 'truncated', seq: 11, toSeq: 13 }])
  })

  it('takes a remembered head that it has not signed for nothing', async () => {
    await trail.close()
    const file = join(folder, 'keys', TAIL_MEMORY)
    const kept = JSON.parse(await readFile(file, 'utf8')) as SignedHead
    await writeFile(file, JSON.stringify({ ...kept, head: { ...kept.head, seq: 99 } }))
    trail = await openTrail()
    await tell(1)
    expect(await findings()).toEqual([])
  })

  it('is written by several processes of one service in turn', async () => {
    const second = await openTrail()
    await tell(2, second)
    await tell(2)
    await tell(1, second)
    await second.close()
    expect(await findings({ remembered: true })).toEqual([])
    expect((await head()).seq).toBe(15)
  })

  it('of a trail from before heads were signed is taken as it stands', async () => {
    await trail.close()
    await withDatabase(async (db) => {
      await db.run('DELETE FROM audit_checkpoint')
      await db.run('UPDATE audit_head SET sealed = NULL')
    })
    await forgetKey()
    trail = await openTrail()
    await tell(1)
    expect(await findings()).toEqual([])
  })

  it('is not taken as it stands a second time when the key is taken away', async () => {
    await trail.close()
    await withDatabase((db) => db.run('UPDATE audit_head SET sealed = NULL'))
    await forgetKey()
    trail = await openTrail()
    await tell(1)
    expect(await findings()).toMatchObject([{ kind: 'rewritten', seq: 6, toSeq: 10, action: 'audit.alarm' }])
  })
})

async function withDatabase(work: (db: Database) => Promise<unknown>): Promise<void> {
  const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'audit.sqlite') })
  await work(db)
  await db.close()
}
async function forgetKey(): Promise<void> {
  for (const name of ['audit-tail.pem', TAIL_MEMORY]) await rm(join(folder, 'keys', name))
}
