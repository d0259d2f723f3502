import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRootCa, generateSm2KeyPair, parseCertificate } from 'pki'
import { createLog, createMetrics, createNodeLink, kekSourceOf, openDatabase, Vault, type Database } from 'service-kit'
import { RegionId } from 'specs'
import { aDirectory, aHospital } from '../consult/builders.ts'
import { A } from '../access/builders.ts'
import { isPinnedRoot } from './join.ts'
import { JoinedRegions } from './joined-regions.ts'
import { activate, activeMembership, membershipOfHub, regionMigrations, saveMembership, type Membership } from './membership.ts'
import { SwitchableLine } from './line.ts'
import { Region } from './region.ts'
import { readSecrets, saveSecrets } from './secrets.ts'

let db: Database
let folder: string
let vault: Vault
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-region-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await db.migrate('region', regionMigrations)
  vault = await Vault.open({ db, kek: kekSourceOf({ keyFile: join(folder, 'vault.kek') }) })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

const aMembership = (id: string): Membership => {
  const { certificate: _c, revoked: _r, ...hospital } = aHospital(A, ['submitter'])
  const pem = 'pem'
  return {
    regionId: RegionId.parse(id),
    regionName: id,
    hubUrl: `http://${id}.example`,
    hospital,
    certificateChain: [pem, pem],
    rootCertificate: pem,
    hubCertificateChain: [pem],
    natsUrl: 'nats://n',
    directory: aDirectory(),
  }
}

describe('joining', () => {
  it('believes only the root that the code names', () => {
    const [root, other] = [createRootCa({ name: 'r', days: 1 }).certificatePem, createRootCa({ name: 'r', days: 1 }).certificatePem]
    const code = `ABCDEFGH-${parseCertificate(root).fingerprintSm3.slice(0, 16)}`
    expect([isPinnedRoot(root, ` ${code}\n`), isPinnedRoot(other, code)]).toEqual([true, false])
    expect([isPinnedRoot(root, 'ABCDEFGH'), isPinnedRoot(root, `ABCDEFGH-${parseCertificate(root).fingerprintSm3.slice(0, 4)}`)]).toEqual([
      false,
      false,
    ])
  })
  it('keeps key and credentials where only the process reads them', async () => {
    const yunling = RegionId.parse('yunling')
    const secrets = { privateKeyPems: [generateSm2KeyPair().privateKeyPem], natsCredentials: 'creds' }
    await saveSecrets(vault, folder, yunling, secrets)
    expect(await readSecrets(vault, folder, yunling)).toEqual(secrets)
    const names = await readdir(join(folder, 'yunling'))
    for (const name of names) {
      expect((await stat(join(folder, 'yunling', name))).mode & 0o077).toBe(0)
      expect(await readFile(join(folder, 'yunling', name), 'utf8')).not.toMatch(/PRIVATE KEY|creds/)
    }
    expect(names).toHaveLength(2)
  })
  it('keeps the former key beside the new one when a hospital joins again, and seals what lay open', async () => {
    // SEC-11
    const yunling = RegionId.parse('yunling')
    const [former, next] = [generateSm2KeyPair().privateKeyPem, generateSm2KeyPair().privateKeyPem]
    await mkdir(join(folder, 'yunling'))
    await writeFile(join(folder, 'yunling', 'node.key.pem'), former) // as earlier versions wrote it
    await saveSecrets(vault, folder, yunling, { privateKeyPems: [next], natsCredentials: 'creds' })
    expect(new Set((await readSecrets(vault, folder, yunling)).privateKeyPems)).toEqual(new Set([former, next]))
    expect(await readFile(join(folder, 'yunling', 'node.key.pem'), 'utf8')).not.toContain('PRIVATE KEY')
  })
})

describe('the regions a hospital has joined', () => {
  it('are known in the order of joining, with the active one', async () => {
    // FED-20
    const joined = await JoinedRegions.open(db)
    expect([joined.activeId, joined.firstId, joined.count]).toEqual(['unassigned', undefined, 0])
    await db.write(async (tx) => {
      await saveMembership(tx, aMembership('west'), 1)
      await saveMembership(tx, aMembership('east'), 2)
      await activate(tx, RegionId.parse('east'))
      await saveMembership(tx, aMembership('west'), 3) // with a new code: its certificate was due
    })
    await joined.refresh()
    expect([joined.activeId, joined.firstId, joined.count]).toEqual(['east', 'west', 2])
    expect([joined.includes(RegionId.parse('west')), joined.includes(RegionId.parse('north'))]).toEqual([true, false])
    expect((await joined.list()).map(({ regionId, isActive }) => [regionId, isActive])).toEqual([['west', false], ['east', true]]) // prettier-ignore
  })
})

describe('a hospital whose line to its region cannot even be opened', () => {
  it('starts all the same, says why, and tries again', async () => {
    // AGT-15: nothing inside the hospital waits for the region
    await db.write(async (tx) => {
      await saveMembership(tx, aMembership('east'), 1)
      await activate(tx, RegionId.parse('east'))
    })
    await saveSecrets(vault, folder, RegionId.parse('east'), { privateKeyPems: [generateSm2KeyPair().privateKeyPem], natsCredentials: 'creds' })
    const told: unknown[] = []
    const region = await Region.open({
      db, hospitalId: A, hospitalName: 'A', keyFolder: folder, safe: vault, version: '0', heartbeatMs: 1_000, requestTimeoutMs: 1_000, openAgainMs: 20,
      log: createLog({ name: 'test', level: 'silent' }),
      metrics: createMetrics(),
      joined: await JoinedRegions.open(db),
      statusOf: () => Promise.reject(new Error('not asked')),
      announce: (event) => told.push(event),
    }) // prettier-ignore
    await region.start()
    expect(await region.status()).toMatchObject({ state: 'disconnected', regionId: 'east', regionName: 'east', problem: { code: 'certificate/invalid' }, failures: 1 })
    expect([region.isConnected, region.membership, told]).toEqual([false, undefined, [{ type: 'link', state: 'disconnected' }]])
    await expect.poll(async () => (await region.status()).failures).toBeGreaterThan(1)
    await region.stop()
  })
})

describe('moving to another platform and back', () => {
  it('takes along no message of the one that is left, and loses none', async () => {
    // AGT-03
    // The link's own tables, made by the link.
    await createNodeLink({ db } as Parameters<typeof createNodeLink>[0]).catch(() => undefined)
    const enter = (seq: number, id: string) =>
      db.run(
        `INSERT INTO outbox (id, peer, seq, kind, body, state, attempts, created_at) VALUES ($1, 'hub', $2, 'k', '{}', 'pending', 0, 1)`,
        [id, seq],
      )
    const mine = async () => (await db.all<{ id: string }>(`SELECT id FROM outbox WHERE peer = 'hub' ORDER BY seq`)).map(({ id }) => id)
    await db.write(async (tx) => {
      await saveMembership(tx, aMembership('east'), 1)
      await saveMembership(tx, aMembership('west'), 2)
      await activate(tx, RegionId.parse('east'))
    })
    await enter(1, 'for-east')
    await db.write((tx) => activate(tx, RegionId.parse('west')))
    expect((await activeMembership(db))?.regionId).toBe('west')
    expect(await mine()).toEqual([])
    await enter(1, 'for-west')
    await db.write((tx) => activate(tx, RegionId.parse('east')))
    expect(await mine()).toEqual(['for-east'])
    await db.write((tx) => activate(tx, RegionId.parse('east')))
    expect(await mine()).toEqual(['for-east'])
    expect((await membershipOfHub(db, 'http://west.example'))?.regionId).toBe('west')
  })
  it('leaves every part with the same line, which says so while there is none', async () => {
    const line = new SwitchableLine()
    const served: string[] = []
    line.serve('exam.read', async () => null)
    await expect(line.request('hub', 'sync', {}, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'region/not-joined' })
    for (const platform of ['east', 'west'])
      line.attach({ serve: (service: string) => served.push(`${platform} ${service}`) } as unknown as SwitchableLine)
    line.serve('later', async () => null)
    expect(served).toEqual(['east exam.read', 'west exam.read', 'west later'])
  })
})
