import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLog, openDatabase } from 'service-kit'
import { fillIndex } from '../../../bench/support/large-index.ts'
import { sendSlice, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { migrations } from '../../src/archive/tables.ts'
import { ExamIntake } from '../../src/exam/intake.ts'
import { examMigrations } from '../../src/exam/store.ts'

const STUDIES = 30_000

describe('an archive of 30,000 studies of an older version', () => {
  let folder: string
  let test: TestArchive
  let openedMs: number
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-large-'))
    const db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'index.sqlite') })
    await db.migrate('archive', migrations)
    await fillIndex(db, STUDIES)
    await db.close()
    const began = performance.now()
    test = await testArchive({}, folder)
    openedMs = performance.now() - began
  }, 180_000)
  afterAll(async () => {
    await test.archive.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('is open at once, stores and finds while its tables are brought up to date, and then has everything', async () => {
    // ARC-22, ARCHITECTURE "Migrations go forward only, in small throttled steps"
    expect(openedMs).toBeLessThan(3_000)
    expect(test.archive.upkeep().length).toBeGreaterThan(0)
    expect((await sendSlice(test.archive)).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.studies({ match: { AccessionNumber: 'A000029999' } })).toHaveLength(1)
    await expect.poll(() => test.archive.upkeep(), { timeout: 90_000, interval: 100 }).toEqual([])
    expect(test.archive.totals()).toMatchObject({ studies: STUDIES + 1, instances: STUDIES * 10 + 1 })
  }, 120_000)

  it('does not hold the start of the node up until all its studies are compared with the exams', async () => {
    // AGT-15: the newest at once, the others beside the service
    const db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
    await db.migrate('exam', examMigrations)
    const intake = new ExamIntake({ db, archive: test.archive, log: createLog({ name: 'test', level: 'silent' }), onChange: () => undefined })
    await intake.start()
    const exams = async () => (await db.get<{ n: number }>('SELECT count(*) AS "n" FROM exam'))?.n ?? 0
    const atStart = await exams()
    expect(atStart).toBeGreaterThanOrEqual(500)
    expect(atStart).toBeLessThan(STUDIES)
    await expect.poll(exams, { timeout: 60_000 }).toBeGreaterThan(atStart)
    await intake.stop()
    await db.close()
  }, 120_000)
})
