import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { databaseContract } from './database.contract.ts'
import { openDatabase } from './index.ts'

const aFolder = () => mkdtemp(join(tmpdir(), 'lianpian-database-'))

databaseContract('SQLite', async () => {
  const folder = await aFolder()
  const file = join(folder, 'sub', 'test.sqlite')
  return { open: () => openDatabase({ dialect: 'sqlite', file }), drop: () => rm(folder, { recursive: true, force: true }) }
})

describe('a SQLite file', () => {
  it('keeps what was committed when it is opened again, in WAL mode with full synchronisation', async () => {
    const folder = await aFolder()
    const file = join(folder, 'test.sqlite')
    const first = await openDatabase({ dialect: 'sqlite', file })
    await first.write((tx) => tx.run('CREATE TABLE kept (x TEXT)'))
    await first.run("INSERT INTO kept VALUES ('留')")
    const pragma = await first.write((tx) => tx.all('PRAGMA synchronous'))
    expect(pragma).toEqual([{ synchronous: 2 }])
    await first.close()
    const second = await openDatabase({ dialect: 'sqlite', file })
    expect(await second.all('SELECT x FROM kept')).toEqual([{ x: '留' }])
    await second.close()
    await rm(folder, { recursive: true })
  })

  it('is refused clearly when it is not a database', async () => {
    const folder = await aFolder()
    const file = join(folder, 'test.sqlite')
    await writeFile(file, 'not a database, but long enough to have a header'.repeat(50))
    await expect(openDatabase({ dialect: 'sqlite', file })).rejects.toThrow('SQLITE_NOTADB')
    await rm(folder, { recursive: true })
  })

  it('answers short look-ups while a long search runs', async () => {
    const folder = await aFolder()
    const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
    await db.run('CREATE TABLE t (x INTEGER)')
    const order: string[] = []
    const long = db
      .get('WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000) SELECT COUNT(*) AS "count" FROM n')
      .then(() => order.push('long'))
    for (let i = 0; i < 3; i++) await db.all('SELECT x FROM t')
    order.push('short')
    await db.run('INSERT INTO t VALUES (1)')
    expect(await db.all('SELECT x FROM t')).toEqual([{ x: 1 }]) // on whichever connection: what is committed is seen
    await long
    expect(order).toEqual(['short', 'long'])
    await db.close()
    await rm(folder, { recursive: true })
  })

  it('is one database under two names', async () => {
    const folder = await aFolder()
    await symlink(folder, join(folder, 'other'))
    const first = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
    const second = await openDatabase({ dialect: 'sqlite', file: join(folder, 'other', 'test.sqlite') })
    await expect(first.write(() => second.run('CREATE TABLE t (x INTEGER)'))).rejects.toThrow('use its tx')
    await first.close()
    await second.close()
    await rm(folder, { recursive: true })
  })

  it('does not write through a reading statement', async () => {
    const folder = await aFolder()
    const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
    await db.run('CREATE TABLE t (x INTEGER)')
    await expect(db.all('WITH one AS (SELECT 1 AS x) INSERT INTO t SELECT x FROM one RETURNING x')).rejects.toThrow('readonly')
    await db.close()
    await rm(folder, { recursive: true })
  })
})
