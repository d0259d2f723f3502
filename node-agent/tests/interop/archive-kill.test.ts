import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startPostgres, type TestPostgres } from '../../../service-kit/tests/support/postgres.ts'
import { killWhileReceiving } from './kill-points.ts'

describe('an archive that is killed while modalities send', () => {
  let postgres: TestPostgres
  let folder: string
  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(() => postgres.stop())
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-kill-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  // All fifty moments: tests/scenarios/archive-kill.test.ts, by `npm run test:endurance`.
  it('has every instance that it answered with success, and no file that nobody knows', async () => {
    // ARC-06, ARC-22
    expect((await killWhileReceiving(folder, 10)).stored).toBeGreaterThanOrEqual(20)
  }, 180_000) // each of the ten starts a process

  it('has them on PostgreSQL, too', async () => {
    // LOC-05
    const { stored } = await killWhileReceiving(folder, 4, { dialect: 'postgres', url: await postgres.newDatabase(), schema: 'archive' })
    expect(stored).toBeGreaterThanOrEqual(8)
  }, 180_000)
})
