import { describe, expect, it } from 'vitest'
import { createLog, type Database } from 'service-kit'
import type { Backfill } from './backfills.ts'
import { upkeepContract } from './upkeep.contract.ts'
import { testArchive } from './archive.builder.ts'
import { Upkeep } from './upkeep.ts'

upkeepContract('SQLite', async () => undefined)

describe('the upkeep of a large archive on SQLite', () => {
  it('builds an index in a moment in which nothing arrives', async () => {
    // ARC-22: commits wait for an index there
    const test = await testArchive()
    await manyRows(test.db, 30)
    let quietMs = 0
    const upkeep = await Upkeep.begin({ ...setupOf(test.db), indexes: [{ name: 'many_by_number', table: 'many', columns: 'number' }], smallRows: 10, quietEnoughMs: 40, quietMs: () => quietMs })
    await new Promise((resolve) => setTimeout(resolve, 120))
    expect(upkeep.tasks).toMatchObject([{ kind: 'index', name: 'many_by_number', state: 'waiting' }])
    quietMs = 50
    await upkeep.finished
    expect(upkeep.tasks).toEqual([])
    expect(await test.db.get("SELECT name FROM sqlite_master WHERE name = 'many_by_number'")).toBeDefined()
    await test.close()
  })

  it('is not held up for ever by senders that never pause', async () => {
    const test = await testArchive()
    await manyRows(test.db, 30)
    const upkeep = await Upkeep.begin({ ...setupOf(test.db), indexes: [{ name: 'many_by_number', table: 'many', columns: 'number' }], smallRows: 10, quietEnoughMs: 20, patienceMs: 100, quietMs: () => 0 })
    await upkeep.finished
    expect(upkeep.tasks).toEqual([])
    await test.close()
  })

  it('tries again what failed, and says so meanwhile', async () => {
    const test = await testArchive()
    await manyRows(test.db, 30)
    const failing: Backfill = { name: 'failing', table: 'many', step: () => Promise.reject(new Error('no')) }
    const upkeep = await Upkeep.begin({ ...setupOf(test.db), backfills: [failing], smallRows: 10 })
    await expect.poll(() => upkeep.tasks).toMatchObject([{ name: 'failing', state: 'failed' }])
    await upkeep.stop()
    await test.close()
  })
})

const setupOf = (db: Database) => ({ db, log: createLog({ name: 'test', level: 'silent' }), indexes: [], backfills: [], quietMs: () => 1_000 })

async function manyRows(db: Database, rows: number): Promise<void> {
  await db.run('CREATE TABLE many (name TEXT PRIMARY KEY, number INTEGER NOT NULL)')
  for (let number = 0; number < rows; number++) await db.run('INSERT INTO many (name, number) VALUES ($1, $2)', [`n${number}`, number])
}
