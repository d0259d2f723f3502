import { afterEach, describe, expect, it } from 'vitest'
import { DatabaseError, isUniqueViolation, type Database, type Migration } from './index.ts'

const tables: Migration[] = [
  {
    name: '0001-study',
    up: [
      'CREATE TABLE study (uid TEXT PRIMARY KEY, size_bytes BIGINT NOT NULL, complete INTEGER NOT NULL DEFAULT 0, note TEXT)',
      'CREATE TABLE series (uid TEXT PRIMARY KEY, study_uid TEXT NOT NULL REFERENCES study (uid))',
      'CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)',
    ],
  },
]

/** What every database behind the port must do. `open` gives a new connection to the same, initially empty database. */
export function databaseContract(name: string, use: () => Promise<{ open: () => Promise<Database>; drop: () => Promise<void> }>): void {
  describe(`${name} as a database`, () => {
    const cleanups: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
    })
    async function aDatabase() {
      const { open, drop } = await use()
      cleanups.push(drop)
      const another = async () => {
        const db = await open()
        cleanups.push(() => db.close())
        return db
      }
      const db = await another()
      await db.migrate('contract', tables)
      return { db, another }
    }
    const insertStudy = 'INSERT INTO study (uid, size_bytes, complete) VALUES ($1, $2, $3)'

    it('gives rows with the names of the query and numbers as numbers', async () => {
      // ARC-09
      const { db } = await aDatabase()
      await db.run(insertStudy, ['1.2', 5_000_000_000, true])
      await db.run(insertStudy, ['1.3', 1, false])
      const rows = await db.all('SELECT uid, size_bytes AS "sizeBytes", complete, note FROM study ORDER BY uid')
      expect(rows).toEqual([
        { uid: '1.2', sizeBytes: 5_000_000_000, complete: 1, note: null },
        { uid: '1.3', sizeBytes: 1, complete: 0, note: null },
      ])
      const sums = await db.get('SELECT COUNT(*) AS "count", SUM(size_bytes) AS "sizeBytes" FROM study')
      expect(sums).toEqual({ count: 2, sizeBytes: 5_000_000_001 })
      expect(await db.get('SELECT uid FROM study WHERE uid = $1', ['9'])).toBeUndefined()
    })

    it('tells how many rows were changed, and gives back what was written', async () => {
      const { db } = await aDatabase()
      expect(await db.run('INSERT INTO study (uid, size_bytes) VALUES ($1, 1), ($2, 2)', ['1.2', '1.3'])).toBe(2)
      expect(await db.run('UPDATE study SET note = $1 WHERE size_bytes > 1', ['结节'])).toBe(1)
      expect(await db.run('UPDATE study SET note = $1 WHERE uid = $2', ['x', 'none'])).toBe(0)
      const upsert = `INSERT INTO study (uid, size_bytes) VALUES ($1, $2) ON CONFLICT (uid) DO UPDATE SET size_bytes = excluded.size_bytes
        RETURNING uid, size_bytes AS "sizeBytes", note`
      expect(await db.all(upsert, ['1.3', 7])).toEqual([{ uid: '1.3', sizeBytes: 7, note: '结节' }])
      expect(
        await db.get('UPDATE study SET size_bytes = size_bytes + 1 WHERE uid = $1 RETURNING size_bytes AS "sizeBytes"', ['1.3']),
      ).toEqual({ sizeBytes: 8 })
      expect(await db.run('DELETE FROM study')).toBe(2)
    })

    it('keeps text exactly: Chinese, quotes, dollars, backslashes, a megabyte', async () => {
      const { db } = await aDatabase()
      for (const note of ['张三 ﹩1 $1 $$ :name ?', `it's "quoted" \\ \n`, '😀', 'x'.repeat(1_000_000)]) {
        await db.run('INSERT INTO study (uid, size_bytes, note) VALUES ($1, 0, $2) ON CONFLICT (uid) DO UPDATE SET note = excluded.note', [
          '1.2',
          note,
        ])
        expect(await db.get('SELECT note FROM study WHERE note = $1', [note])).toEqual({ note })
      }
    })

    it('commits a fact and its message together, and tells afterwards', async () => {
      const { db } = await aDatabase()
      const heard: string[] = []
      const result = await db.write(async (tx) => {
        await tx.run(insertStudy, ['1.2', 1, 0])
        tx.afterCommit(() => heard.push('committed'))
        expect(await tx.get('SELECT uid FROM study')).toEqual({ uid: '1.2' })
        expect(await db.get('SELECT uid FROM study')).toBeUndefined() // others do not see it yet, and need not wait
        expect(heard).toEqual([])
        return 'done'
      })
      expect(result).toBe('done')
      expect(heard).toEqual(['committed'])
      expect(await db.get('SELECT uid FROM study')).toEqual({ uid: '1.2' })
    })

    it('undoes everything when the work throws, and serves the next', async () => {
      const { db } = await aDatabase()
      const heard: string[] = []
      const failing = db.write(async (tx) => {
        await tx.run(insertStudy, ['1.2', 1, 0])
        tx.afterCommit(() => heard.push('committed'))
        throw new Error('cut')
      })
      await expect(failing).rejects.toThrow('cut')
      expect(await db.all('SELECT uid FROM study')).toEqual([])
      expect(heard).toEqual([])
      await db.write((tx) => tx.run(insertStudy, ['1.3', 1, 0]))
      expect(await db.all('SELECT uid FROM study')).toEqual([{ uid: '1.3' }])
    })

    it('does not commit half of a transaction whose failed statement was overlooked', async () => {
      const { db } = await aDatabase()
      const hiding = db.write(async (tx) => {
        await tx.run(insertStudy, ['1.2', 1, 0])
        await tx.run(insertStudy, ['1.2', 1, 0]).catch(() => 0)
      })
      await expect(hiding).rejects.toSatisfy(isUniqueViolation)
      expect(await db.all('SELECT uid FROM study')).toEqual([])
    })

    it('lets a hundred writers count together without losing one', async () => {
      const { db, another } = await aDatabase()
      const second = await another()
      await db.run("INSERT INTO counter (name, value) VALUES ('seq', 0)")
      const next = (from: Database) =>
        from.write(async (tx) => {
          const row = await tx.get<{ value: number }>("SELECT value FROM counter WHERE name = 'seq'")
          await tx.run("UPDATE counter SET value = $1 WHERE name = 'seq'", [(row?.value ?? 0) + 1])
          return (row?.value ?? 0) + 1
        })
      const seen = await Promise.all(Array.from({ length: 100 }, (_, i) => next(i % 2 ? db : second)))
      expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    })

    it('lets single statements and transactions wait for one another', async () => {
      const { db } = await aDatabase()
      await db.run("INSERT INTO counter (name, value) VALUES ('seq', 0)")
      const increment = "UPDATE counter SET value = value + 1 WHERE name = 'seq'"
      await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 ? db.run(increment) : db.write((tx) => tx.run(increment)))))
      expect(await db.get('SELECT value FROM counter')).toEqual({ value: 60 })
    })

    it('refuses a transaction inside a transaction instead of waiting for itself', async () => {
      const { db } = await aDatabase()
      await expect(db.write(() => db.write(async () => 1))).rejects.toThrow('use its tx')
      await expect(db.write(() => db.run('DELETE FROM study'))).rejects.toThrow('use its tx')
      expect(await db.write(async () => 'next')).toBe('next')
    })

    it('allows a new transaction from what follows a commit', async () => {
      const { db } = await aDatabase()
      let following: Promise<number> | undefined
      await db.write(async (tx) => tx.afterCommit(() => (following = db.run(insertStudy, ['1.2', 1, 0]))))
      expect(await following).toBe(1)
    })

    it('refuses a transaction that somebody kept beyond its end', async () => {
      const { db } = await aDatabase()
      const kept = await db.write(async (tx) => ({ late: () => tx.run('DELETE FROM study') }))
      await expect(kept.late()).rejects.toThrow('this transaction is over')
    })

    it('names what went wrong and never the values', async () => {
      // SEC-11
      const { db } = await aDatabase()
      await db.run(insertStudy, ['张三', 1, 0])
      const twice = await db.run(insertStudy, ['张三', 1, 0]).catch((error: unknown) => error)
      expect(twice).toBeInstanceOf(DatabaseError)
      expect(twice).toMatchObject({ kind: 'unique', sql: insertStudy })
      const orphan = await db.run('INSERT INTO series (uid, study_uid) VALUES ($1, $2)', ['1', '李四']).catch((error: unknown) => error)
      expect(orphan).toMatchObject({ kind: 'foreign-key' })
      const wrong = await db
        .run('UPDATE study SET note = 1 WHERE uid = $1 AND size_bytes = nowhere', ['王五'])
        .catch((error: unknown) => error)
      expect(wrong).toMatchObject({ kind: 'other' })
      for (const error of [twice, orphan, wrong]) {
        const told = `${String(error)} ${JSON.stringify(error)} ${(error as Error).stack}`
        expect(told).not.toMatch(/张三|李四|王五/)
      }
    })

    it('tells the author of a statement which parameter is missing', async () => {
      const { db } = await aDatabase()
      await expect(db.all('SELECT uid FROM study WHERE uid = $1 AND note = $2', ['1.2'])).rejects.toThrow('$2')
    })

    it('migrates forward once, also when two processes start together', async () => {
      const { db, another } = await aDatabase()
      const second = await another()
      const grown: Migration[] = [
        ...tables,
        { name: '0002-count', up: async (tx) => void (await tx.run("INSERT INTO counter (name, value) VALUES ('once', 1)")) },
      ]
      await Promise.all([
        db.migrate('contract', grown),
        second.migrate('contract', grown),
        db.migrate('other', [{ name: '0001-x', up: ['CREATE TABLE other (x TEXT)'] }]),
      ])
      await db.migrate('contract', grown)
      expect(await db.all('SELECT value FROM counter')).toEqual([{ value: 1 }])
    })

    it('leaves nothing of a migration that failed half-way, and goes on after its repair', async () => {
      const { db } = await aDatabase()
      const broken: Migration[] = [...tables, { name: '0002-more', up: ['CREATE TABLE more (x TEXT)', 'INSERT INTO nowhere VALUES (1)'] }]
      await expect(db.migrate('contract', broken)).rejects.toThrow('0002-more')
      await expect(db.all('SELECT x FROM more')).rejects.toBeInstanceOf(DatabaseError)
      await db.migrate('contract', [...tables, { name: '0002-more', up: ['CREATE TABLE more (x TEXT)'] }])
      expect(await db.all('SELECT x FROM more')).toEqual([])
    })

    it('refuses a database of a newer version and a step edited after its release', async () => {
      const { db } = await aDatabase()
      await expect(db.migrate('contract', [])).rejects.toThrow('newer version')
      await expect(db.migrate('contract', [{ name: '0001-study', up: ['CREATE TABLE study (uid TEXT)'] }])).rejects.toThrow('edited')
    })
  })
}
