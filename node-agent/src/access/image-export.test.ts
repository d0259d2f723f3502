import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryTrail } from 'service-kit'
import { Problem } from 'specs'
import { testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { A } from './builders.ts'
import { ImageExports } from './image-export.ts'
import { policyMigrations } from './policy/tables.ts'

let test: TestArchive
beforeEach(async () => {
  test = await testArchive()
  await test.db.migrate('access', policyMigrations)
})
afterEach(() => test.close())

describe('exporting images', () => {
  it('counts each study once a day, stops at the limit, and starts anew the next day', async () => {
    // SEC-10
    let now = new Date(2026, 10, 22, 9).getTime()
    const audit = new MemoryTrail()
    const exports = new ImageExports({ db: test.db, audit, settings: { reason: 'optional', studiesPerDay: 2 }, now: () => now })
    const begin = (study: string, accountId = 'u1') => exports.begin({ accountId, study, owner: A, reason: '教学' })
    for (const study of ['1.1', '1.2', '1.1', '1.2']) await begin(study)
    await expect(begin('1.3')).rejects.toMatchObject({ code: 'access/export-limit' })
    await begin('1.3', 'u2')
    now = new Date(2026, 10, 23, 0, 1).getTime()
    await begin('1.3')
    expect(audit.events.map(({ object, reason }) => [object?.id, reason])).toEqual([['1.1', '教学'], ['1.2', '教学'], ['1.3', '教学'], ['1.3', '教学']]) // prettier-ignore
  })
  it('is told each time when it is told what leaves, and not begun when it cannot be told', async () => {
    // SEC-10
    const audit = new MemoryTrail()
    const exports = new ImageExports({ db: test.db, audit, settings: { reason: 'optional', studiesPerDay: 2 } })
    const begin = (level: string) => exports.begin({ accountId: 'u1', study: '1.1', owner: A, reason: '教学', told: { purpose: '教学', facts: { level } } })
    await begin('L1')
    await begin('L3')
    expect(audit.events.map(({ purpose, facts }) => [purpose, facts?.['level']])).toEqual([['教学', 'L1'], ['教学', 'L3']]) // prettier-ignore
    audit.record = () => Promise.reject(new Problem('audit/unavailable'))
    await expect(begin('L0')).rejects.toMatchObject({ code: 'audit/unavailable' })
  })
  it('wants a reason where the hospital does', async () => {
    // SEC-10
    const exports = new ImageExports({ db: test.db, audit: new MemoryTrail(), settings: { reason: 'required', studiesPerDay: 2 } })
    await expect(exports.begin({ accountId: 'u1', study: '1.1', owner: A, reason: '' })).rejects.toMatchObject({ code: 'access/reason-needed' })
    await exports.begin({ accountId: 'u1', study: '1.1', owner: A, reason: '转院' })
  })
})
