import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDatabase } from './index.ts'
import { parameterOrder } from './sqlite-statements.ts'

describe('statements on a SQLite connection', () => {
  it('bind values by the number in the text, wherever it stands and however often', async () => {
    expect(parameterOrder(`SELECT $2, '$9 it''s', "$8", $1, $2 /* $7 */ -- $6\n, $10`)).toEqual([2, 1, 10])
    const folder = await mkdtemp(join(tmpdir(), 'lianpian-statements-'))
    const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
    expect(await db.get(`SELECT $2 AS "b", '$1' AS "text", $1 AS "a", $2 AS "again"`, ['one', 'two'])).toEqual({ b: 'two', text: '$1', a: 'one', again: 'two' })
    await db.close()
    await rm(folder, { recursive: true })
  })

  it('are compiled anew when a table has changed, and forgotten when there are too many', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lianpian-statements-'))
    const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
    await db.run('CREATE TABLE t (x INTEGER)')
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 300; number++) await db.run(`INSERT INTO t (x) VALUES (${number})`)
      expect(await db.all('SELECT * FROM t WHERE x = 299')).toHaveLength(round + 1)
      if (round === 0) await db.run("ALTER TABLE t ADD COLUMN y TEXT NOT NULL DEFAULT 'new'")
    }
    expect(await db.all('SELECT * FROM t WHERE x = 299')).toEqual([{ x: 299, y: 'new' }, { x: 299, y: 'new' }])
    await db.close()
    await rm(folder, { recursive: true })
  })
})
