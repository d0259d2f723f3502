import { describe, expect, it } from 'vitest'
import { createLog, type Database } from 'service-kit'
import type { Backfill } from './backfills.ts'
import { testArchive } from './archive.builder.ts'
import { Upkeep, type UpkeepSetup } from './upkeep.ts'

/** What bringing the tables of a large archive up to date must do on every database we ship. */
export function upkeepContract(name: string, newDatabase: () => Promise<Database | undefined>): void {
  describe(`the upkeep of an archive on ${name}`, () => {
    const doubling = (steps: string[] = []): Backfill => ({
      name: 'doubling',
      table: 'many',
      async step(tx, position, limit) {
        const rows = await tx.all<{ name: string }>('SELECT name FROM many WHERE name > $1 ORDER BY name LIMIT $2', [position, limit])
        const last = rows.at(-1)?.name
        if (last === undefined) return undefined
        await tx.run('UPDATE many SET doubled = number * 2 WHERE name > $1 AND name <= $2', [position, last])
        steps.push(last)
        return { position: last, rows: rows.length }
      },
    })
    async function aLargeTable(rows: number) {
      const db = await newDatabase()
      const test = await testArchive(db ? { db } : {})
      await test.db.run('CREATE TABLE many (name TEXT PRIMARY KEY, number INTEGER NOT NULL, doubled INTEGER)')
      for (let number = 0; number < rows; number++) await test.db.run('INSERT INTO many (name, number) VALUES ($1, $2)', [`n${String(number).padStart(4, '0')}`, number])
      const begin = (setup: Partial<UpkeepSetup>) =>
        Upkeep.begin({ db: test.db, log: createLog({ name: 'test', level: 'silent' }), indexes: [], backfills: [], quietMs: () => 10_000, stepRows: 10, ...setup })
      const undone = async () => (await test.db.get<{ n: number }>('SELECT count(*) AS "n" FROM many WHERE doubled IS NULL'))?.n
      return { ...test, begin, undone }
    }

    it('is finished before a small archive is open', async () => {
      const { begin, undone, close } = await aLargeTable(30)
      const upkeep = await begin({ backfills: [doubling()], indexes: [{ name: 'many_by_doubled', table: 'many', columns: 'doubled' }] })
      expect(upkeep.tasks).toEqual([])
      expect(await undone()).toBe(0)
      await close()
    })

    it('goes on beside the service where it was stopped, and is not done twice', async () => {
      // ARCHITECTURE: small throttled steps
      const { begin, undone, close } = await aLargeTable(100)
      const first: string[] = []
      const upkeep = await begin({ backfills: [doubling(first)], smallRows: 20 })
      expect(upkeep.tasks).toMatchObject([{ kind: 'backfill', name: 'doubling' }])
      await expect.poll(() => upkeep.tasks[0]?.done ?? 0, { interval: 5 }).toBeGreaterThanOrEqual(20)
      await upkeep.stop()
      const left = await undone()
      expect(left).toBeGreaterThan(0)

      const second: string[] = []
      const resumed = await begin({ backfills: [doubling(second)], smallRows: 20 })
      expect(resumed.tasks[0]?.done).toBe(100 - (left ?? 0))
      await resumed.finished
      expect(await undone()).toBe(0)
      expect(new Set([...first, ...second]).size).toBe(first.length + second.length)
      expect((await begin({ backfills: [doubling()], smallRows: 20 })).tasks).toEqual([])
      await close()
    })

    it('builds each index once, expressions and partial ones too', async () => {
      const { begin, close } = await aLargeTable(40)
      const indexes = [
        { name: 'many_by_number', table: 'many', columns: 'number, name' },
        { name: 'many_by_lower', table: 'many', columns: { sqlite: 'lower(name)', postgres: 'lower(name) text_pattern_ops' }, where: 'number > 3' },
      ]
      const upkeep = await begin({ indexes, smallRows: 20 })
      expect(upkeep.tasks).toHaveLength(2)
      await upkeep.finished
      expect(upkeep.tasks).toEqual([])
      expect((await begin({ indexes, smallRows: 20 })).tasks).toEqual([])
      await close()
    })
  })
}
