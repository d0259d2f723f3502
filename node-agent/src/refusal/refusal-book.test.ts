import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createLog, openDatabase, type Database } from 'service-kit'
import { RefusalBook } from './refusal-book.ts'
import type { EdgeRefusal } from './store.ts'

const NOW = 1_800_000_000_000
const hour = 3_600_000
const log = createLog({ name: 'test', level: 'silent' })
const unknownCt = (change: Partial<EdgeRefusal> = {}): EdgeRefusal => ({
  at: NOW,
  service: 'dimse',
  code: 'dimse/unknown-ae',
  peer: 'CT99',
  address: '10.1.2.3',
  facts: {},
  ...change,
})

let folder: string
let db: Database
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-refusal-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
})
afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

const bookAt = (now: number, atMost?: number) => RefusalBook.open({ db, log, now: () => now, ...(atMost !== undefined && { atMost }) })
beforeEach(async () => {
  await bookAt(NOW)
  await db.run('DELETE FROM edge_refusal')
})

describe('what the edges of a hospital refused', () => {
  it('is one row per peer and reason with a count, however often a device tries', async () => {
    // ARC-05
    const book = await bookAt(NOW)
    for (let n = 0; n < 500; n++) book.note(unknownCt({ at: NOW + n }))
    expect((await book.list({ limit: 10 })).rows).toMatchObject([
      { code: 'dimse/unknown-ae', peer: 'CT99', address: '10.1.2.3', count: 500, firstAt: NOW, at: NOW + 499 },
    ])
    book.note(unknownCt({ at: NOW + 1_000 }))
    book.note(unknownCt({ at: NOW + 2_000, code: 'archive/unreadable' }))
    expect((await book.list({ limit: 10 })).rows.map(({ code, count }) => [code, count])).toEqual([
      ['archive/unreadable', 1],
      ['dimse/unknown-ae', 501],
    ])
  })

  it('begins a new row when the device was quiet for more than an hour', async () => {
    const book = await bookAt(NOW)
    book.note(unknownCt())
    await book.list({ limit: 1 })
    book.note(unknownCt({ at: NOW + hour + 1 }))
    expect((await book.list({ limit: 10 })).rows.map(({ count }) => count)).toEqual([1, 1])
  })

  it('is found by AE title, address or code, and by where it came in', async () => {
    const book = await bookAt(NOW)
    book.note(unknownCt())
    book.note(unknownCt({ service: 'stow', code: 'archive/out-of-space', peer: 'wang', address: '10.9.9.9' }))
    const peers = async (filter: object) => (await book.list({ limit: 10, ...filter })).rows.map(({ peer }) => peer)
    expect(await peers({ text: 'ct9' })).toEqual(['CT99'])
    expect(await peers({ text: '10.9' })).toEqual(['wang'])
    expect(await peers({ text: 'space' })).toEqual(['wang'])
    expect(await peers({ text: '%' })).toEqual([])
    expect(await peers({ service: 'dimse' })).toEqual(['CT99'])
  })

  it('stays small: the newest so many of the last 30 days, and a flood of invented names is one row more', async () => {
    const book = await bookAt(NOW + 31 * 24 * hour, 5)
    book.note(unknownCt())
    for (let n = 0; n < 8; n++) book.note(unknownCt({ at: NOW + 31 * 24 * hour + n, peer: `CT${n}` }))
    expect((await book.list({ limit: 100 })).rows.map(({ peer }) => peer)).toEqual(['CT7', 'CT6', 'CT5', 'CT4', 'CT3'])
    const flooded = await bookAt(NOW)
    for (let n = 0; n < 3_000; n++) flooded.note(unknownCt({ peer: `X${n}` }))
    expect((await flooded.list({ text: 'dimse', limit: 10_000 })).rows.find(({ peer }) => peer === '')?.count).toBe(2_000)
  })
})
