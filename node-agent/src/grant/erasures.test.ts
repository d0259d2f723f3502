import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLog, type AuditTrail } from 'service-kit'
import type { AuditEvent, HospitalId } from 'specs'
import { A, B } from '../access/builders.ts'
import { STUDY, TransferBench } from '../transfer/transfer.builder.ts'
import { erasureMigrations, Erasures } from './erasures.ts'
import { HeldGrants } from './held-grants.ts'
import { sharingMigrations } from './tables.ts'

let bench: TransferBench
let owner: Erasures
let holder: HeldGrants
const told: AuditEvent[] = []
const audit = { note: (event: AuditEvent) => void told.push(event), within: (_tx: unknown, event: AuditEvent) => Promise.resolve(void told.push(event)) } as unknown as AuditTrail
const log = createLog({ name: 'test', level: 'silent' })
const nothing = () => Promise.reject(new Error('not asked'))

beforeEach(async () => {
  told.length = 0
  bench = await TransferBench.open([1_000])
  await bench.dbA.migrate('erasure', erasureMigrations)
  await bench.dbC.migrate('sharing', sharingMigrations)
  owner = new Erasures({ db: bench.dbA, log, line: bench.lineA, audit, hospitalId: A, removeCopy: nothing, now: Date.now })
  holder = new HeldGrants({ db: bench.dbC, log, line: bench.lineC, audit, hospitalId: 'hospital-c' as HospitalId, regional: bench.cache, transfers: bench.engine, taskGrants: () => Promise.resolve([]), announce: () => undefined, now: Date.now }) // prettier-ignore
  new Erasures({ db: bench.dbC, log, line: bench.lineC, audit, hospitalId: 'hospital-c' as HospitalId, removeCopy: (of, study) => holder.removeErased(of, study), now: Date.now })
  await bench.engine.start()
  await bench.wish()
  await vi.waitFor(async () => expect(await bench.cache.study(STUDY)).toBeDefined(), 10_000)
  await vi.waitFor(() => expect(bench.completed).toBe(1), 10_000)
})
afterEach(async () => {
  await owner.stop()
  await holder.stop()
  await bench.close()
})

const erase = () => bench.dbA.write((tx) => owner.erase(tx, STUDY, '保存期满'))
const confirmed = async () => (await bench.dbA.all('SELECT holder FROM study_erasure WHERE confirmed_at IS NOT NULL')).length

describe('a study that its hospital has destroyed', () => {
  it('leaves everybody whom a grant ever named, which both trails know, and its grants end', async () => {
    // LOC-06
    expect(await erase()).toContain('hospital-c')
    await vi.waitFor(async () => expect(await bench.cache.study(STUDY)).toBeUndefined(), 10_000)
    await vi.waitFor(async () => expect(await confirmed()).toBe(1), 10_000)
    expect(await bench.engine.jobOfStudy(STUDY, A)).toBeUndefined()
    expect((await bench.dbA.all('SELECT grant_id FROM exam_grant WHERE withdrawn_at IS NULL')).length).toBe(0)
    expect(told.map(({ action, reason, basis }) => [action, reason ?? basis])).toEqual(expect.arrayContaining([['study.delete', 'destroyed by its owner'], ['study.delete', 'retention']]))
  })

  it('is asked for again until a hospital that was away has removed it', async () => {
    // LOC-06, AGT-15
    bench.lineA.isCut = true
    await erase()
    await vi.waitFor(async () => expect((await bench.dbA.get<{ attempts: number }>(`SELECT attempts FROM study_erasure WHERE holder = 'hospital-c'`))?.attempts).toBe(1), 10_000)
    expect(await bench.cache.study(STUDY)).toBeDefined()
    bench.lineA.isCut = false
    owner.tell({ atOnce: true })
    await vi.waitFor(async () => expect(await bench.cache.study(STUDY)).toBeUndefined(), 10_000)
  })

  it('stays where another hospital only says that it is theirs', async () => {
    // Shown to fail without the owner in HeldGrants.#deleteCopy.
    await holder.removeErased(B, STUDY)
    expect(await bench.cache.study(STUDY)).toBeDefined()
    await holder.removeUnlessEntitled(B, STUDY)
    expect(await bench.cache.study(STUDY)).toBeDefined()
  })
})
