import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from 'service-kit'
import { parseHospitalId, RegionId } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aSafe } from '../../tests/support/safe.ts'
import { NatsAdministration, prepareNats, readCredentials } from './index.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nats-keys-'))
})
afterEach(() => rm(dir, { recursive: true }))

const prepare = () => prepareNats({ dir, host: '127.0.0.1', port: 4400, storeDir: join(dir, 'store') })
const log = createLog({ name: 'test', level: 'silent' })
/** Nobody listens there: everything here happens in files. */
const open = (safe: ReturnType<typeof aSafe> | undefined) => NatsAdministration.open({ dir, natsUrl: 'nats://127.0.0.1:9', log, ...(safe && { safe }) })
const secrets = async () => (await readdir(dir)).filter((name) => /\.(seed|creds)$/.test(name))

describe('the seeds that rule the region’s NATS server', () => {
  it('lie sealed once the hub has opened them, and only it reads them', async () => {
    // SEC-11
    const { hubCredentials } = await prepare()
    expect((await secrets()).sort()).toEqual(['hub.creds', 'operator.seed', 'region.seed', 'system.creds', 'system.seed'])
    await (await open(aSafe())).close()
    expect(await readCredentials(dir, 'hub', aSafe())).toBe(hubCredentials)
    for (const name of await secrets()) expect(await readFile(join(dir, name), 'utf8')).toMatch(/^v1\.1\.[\w-]+\s*$/)
    await expect(open(undefined)).rejects.toThrow(/sealed by the vault/)
    await expect(readCredentials(dir, 'hub')).rejects.toThrow(/sealed by the vault/)
  })

  it('are not needed to prepare the server again: it stays the same server, with what was admitted and revoked', async () => {
    const first = await prepare()
    const config = await readFile(first.configFile, 'utf8')
    const administration = await open(aSafe())
    await administration.issueNode(RegionId.parse('yunling'), parseHospitalId('hospital-a'))
    await administration.revokeNode(parseHospitalId('hospital-a'))
    await administration.close()
    await readCredentials(dir, 'hub', aSafe())
    const claims = await readFile(join(dir, 'accounts.conf'), 'utf8')
    const second = await prepare()
    expect([second.hubCredentials, await readFile(second.configFile, 'utf8'), await readFile(join(dir, 'accounts.conf'), 'utf8')]).toEqual([undefined, config, claims])
  })

  it('are missed by name when they are gone', async () => {
    await prepare()
    await (await open(aSafe())).close()
    await rm(join(dir, 'hub.creds'))
    await expect(readCredentials(dir, 'hub', aSafe())).rejects.toThrow(/hub\.creds is missing.*init/)
    await expect(prepare()).rejects.toThrow(/region\.seed is sealed/)
  })
})
