import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { openDatabase } from 'service-kit'
import { aCommand, anActor, B, C, regionId, toPool } from '../support/builders.ts'
import { OutboxTable, registerDemoRegion, type OpenedDatabase } from '../support/database.ts'
import { ledgerContract } from '../../src/consult/store.contract.ts'
import { ConsultService } from '../../src/consult/service.ts'
import { listTasks, readTimeline } from '../../src/consult/store.ts'
import { RegistryCache } from '../../src/hospital/registry-cache.ts'
import { migrateHub } from '../../src/migrations.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

async function openHubPostgres(): Promise<OpenedDatabase & { url: string }> {
  const url = await postgres.newDatabase()
  const db = await openDatabase({ dialect: 'postgres', url, schema: 'hub' })
  await migrateHub(db)
  return { db, url, drop: () => db.close() }
}

ledgerContract('PostgreSQL', openHubPostgres)

describe('several hub processes on one PostgreSQL', () => {
  it('give each case to exactly one of ten doctors at two hospitals who reach for all of them at once', async () => {
    // COR-14
    const { db, url, drop } = await openHubPostgres()
    const second = await openDatabase({ dialect: 'postgres', url, schema: 'hub' })
    const outbox = await OutboxTable.open(db)
    await registerDemoRegion(db, outbox)
    const processes = [db, second].map((database) => {
      const parts = { regionId, registry: new RegistryCache(), outbox, verifyGrant: () => {}, announce: () => {}, now: Date.now }
      return { database, service: new ConsultService(parts) }
    })
    const send = (command: ReturnType<typeof aCommand>, n: number) => {
      const { database, service } = processes[n % 2]!
      return database.write((tx) => service.handle(tx, command.by.hospitalId, command))
    }
    const expires = Date.now() + 60_000
    const submits = Array.from({ length: 5 }, () => aCommand('submit', { facts: toPool({}, { expires }) }))
    for (const submit of submits) await send(submit, 0)
    const doctors = Array.from({ length: 10 }, (_, n) => anActor(n % 2 === 0 ? B : C, `doctor-${n}`))
    const claims = doctors.flatMap((by, n) => submits.map((_, k) => aCommand('claim', { by, taskId: submits[(k + n) % 5]?.taskId })))
    await Promise.all(claims.map(send))

    const answered = new Set(claims.map(({ commandId }) => commandId))
    const answers = (await outbox.answers()).map(({ body }) => body).filter(({ commandId }) => answered.has(commandId))
    expect(answers).toHaveLength(50)
    expect(answers.filter(({ outcome }) => outcome === 'accepted')).toHaveLength(5)
    const { rows } = await listTasks(db, { limit: 10 })
    for (const task of rows) {
      const claimed = (await readTimeline(db, task.id)).filter(({ type }) => type === 'claimed')
      expect(claimed.map(({ holder }) => holder)).toEqual([task.holder])
    }
    await second.close()
    await drop()
  })
})
