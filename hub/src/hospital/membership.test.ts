import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCsr, generateSm2KeyPair, parseCertificate } from 'pki'
import { createLog, type Database, type SqlValue } from 'service-kit'
import { HospitalConfig, Problem, type HospitalId, type JoinResponse, type LiveEvent, type SyncRequest } from 'specs'
import { initAuthority } from '../authority/set-up.ts'
import { A, B, hospital, regionId } from '../../tests/support/builders.ts'
import { openHubSqlite, OutboxTable, type OpenedDatabase } from '../../tests/support/database.ts'
import { rowOf } from './hospital.ts'
import { KnownParties } from './known-parties.ts'
import { Membership } from './membership.ts'
import { Presence } from './presence.ts'
import { allHospitals } from './store.ts'

const heartbeatMs = 5_000
let dir: string
let opened: OpenedDatabase
let outbox: OutboxTable
let parties: KnownParties
let membership: Membership
let presence: Presence
let live: LiveEvent[]
let clock: number
let transport: { issued: HospitalId[]; revoked: HospitalId[]; away: boolean }

beforeEach(async () => {
  dir = await mkdtemp(pathOf(tmpdir(), 'membership-'))
  opened = await openHubSqlite()
  outbox = await OutboxTable.open(opened.db)
  clock = Date.now()
  live = []
  transport = { issued: [], revoked: [], away: false }
  const now = () => clock
  const announce = (event: LiveEvent) => live.push(event)
  const region = { regionId, regionName: '云岭区域影像网' }
  const authority = await initAuthority({ dir, ...region, now })
  parties = new KnownParties(authority, regionId)
  membership = new Membership({
    db: opened.db,
    region,
    authority,
    parties,
    outbox,
    transport: {
      issueNode: async (id) => (transport.issued.push(id), `credentials of ${id}`),
      revokeNode: async (id) => void transport.revoked.push(id),
      ensureConsumer: async () => {
        if (transport.away) throw new Problem('service/unavailable', { what: 'nats' })
      },
    },
    natsUrl: 'nats://region.example:4400',
    joinCodeValidMs: 60_000,
    announce,
    log: createLog({ name: 'test', level: 'silent' }),
    now,
  })
  presence = new Presence({ db: opened.db, heartbeatMs, announce, now })
  await membership.renewRevocationLists()
})
afterEach(async () => {
  await opened.drop()
  await rm(dir, { recursive: true })
})

const aConfig = (id: string, over: Record<string, unknown> = {}) =>
  HospitalConfig.parse({
    id,
    name: `医院 ${id}`,
    code: `code-${id}`,
    agentAddress: 'http://192.168.1.20:8420',
    kinds: ['submitter'],
    taskTypes: ['consultation'],
    flowModes: ['push', 'pull'],
    ...over,
  })

async function join(id: HospitalId): Promise<JoinResponse> {
  const { code } = await membership.makeJoinCode(id)
  return joinWith(code)
}
function joinWith(code: string): Promise<JoinResponse> {
  const { privateKeyPem } = generateSm2KeyPair()
  const csr = createCsr({ party: hospital('whoever'), organisation: 'whoever', regionId, privateKeyPem })
  return membership.join({ code, csr, agentVersion: '0.1.0' })
}
const rowsById = async () => new Map((await allHospitals(opened.db)).map((each) => [each.config.id, rowOf(each, clock, heartbeatMs)]))
const aHeartbeat = (freeBytes = 1e12): SyncRequest => ({
  receivedUpTo: 0,
  sentUpTo: 0,
  version: '0.2.0',
  status: { pendingMessages: 2, refusedMessages: 1, studies: 12, instances: 3_400, freeBytes, transfersActive: 1, address: '' },
})

describe('registering hospitals', () => {
  it('keeps name, code and agent address, and shows a hospital that never joined as offline', async () => {
    // FED-08
    await membership.create(aConfig('hospital-a', { name: '云溪县人民医院', code: '12530000MB0X' }))
    expect((await rowsById()).get(A)).toMatchObject({
      name: '云溪县人民医院',
      code: '12530000MB0X',
      agentAddress: 'http://192.168.1.20:8420',
      joined: false,
      online: false,
      lastSeenAt: null,
    })
    expect(live).toContainEqual({ type: 'hospital', hospitalId: A })
  })

  it('refuses a second hospital with the same identifier or the same code, and says which', async () => {
    // FED-09
    await membership.create(aConfig('hospital-a'))
    await expect(membership.create(aConfig('hospital-a', { code: 'other' }))).rejects.toMatchObject({
      code: 'region/hospital-exists',
      facts: { field: 'id' },
    })
    const sameCode = aConfig('hospital-b', { code: 'code-hospital-a' })
    await expect(membership.create(sameCode)).rejects.toMatchObject({ code: 'region/hospital-exists', facts: { field: 'code', id: A } })
    await membership.create(aConfig('hospital-b'))
    await expect(membership.change(sameCode)).rejects.toMatchObject({ code: 'region/hospital-exists' })
    expect((await rowsById()).get(B)?.code).toBe('code-hospital-b')
  })

  it('refuses a hospital that takes part in nothing', async () => {
    await expect(membership.create(aConfig('hospital-a', { taskTypes: [] }))).rejects.toMatchObject({ code: 'request/invalid' })
    await expect(membership.create(aConfig('hospital-a', { flowModes: ['push', 'push'] }))).rejects.toMatchObject({
      code: 'request/invalid',
    })
    await expect(membership.create(aConfig('data-centre', { kinds: ['data-centre'], taskTypes: [], flowModes: [] }))).resolves.toBeDefined()
  })

  it('tells every joined hospital of each change, with a growing version', async () => {
    // FED-13
    await membership.create(aConfig('hospital-a'))
    await join(A)
    await membership.create(aConfig('hospital-b'))
    await membership.change(aConfig('hospital-b', { taskTypes: ['consultation', 'review'] }))
    const directories = (await outbox.directories(A)).map(({ body }) => body)
    expect(directories.map(({ version }) => version)).toEqual([...directories.map(({ version }) => version)].sort((a, b) => a - b))
    expect(directories.at(-1)?.hospitals.find(({ id }) => id === B)).toMatchObject({
      taskTypes: ['consultation', 'review'],
      certificate: '',
    })
    expect(await outbox.directories(B)).toEqual([])
    await expect(membership.change(aConfig('nowhere'))).rejects.toMatchObject({ code: 'region/unknown-hospital' })
  })
})

describe('joining', () => {
  it('gives certificate, trust, credentials and parameters for a one-time code', async () => {
    await membership.create(aConfig('hospital-a'))
    const answer = await join(A)
    const leaf = parseCertificate(answer.certificateChain[0] ?? '')
    expect(leaf.party).toBe(A)
    expect(parties.trust.verifyChain(answer.certificateChain, clock).serial).toBe(leaf.serial)
    expect(answer).toMatchObject({
      natsUrl: 'nats://region.example:4400',
      natsCredentials: 'credentials of hospital-a',
      hospital: { id: A },
    })
    expect(answer.directory.hospitals[0]?.certificate).toBe(leaf.pem)
    expect(parties.certificateOf(A)?.serial).toBe(leaf.serial)
    expect((await rowsById()).get(A)).toMatchObject({ joined: true, certificateSerial: leaf.serial, agentVersion: '0.1.0' })
  })

  it('names the root in the code, so that the node can tell a false platform', async () => {
    await membership.create(aConfig('hospital-a'))
    const { code } = await membership.makeJoinCode(A)
    const { rootCertificate } = await joinWith(code)
    expect(code).toMatch(/^[2-9A-HJ-NP-Z]{24}-[0-9a-f]{16}$/)
    expect(code.split('-')[1]).toBe(parseCertificate(rootCertificate).fingerprintSm3.slice(0, 16))
  })

  it('takes a code once, in time, and only the newest; it is not kept in clear', async () => {
    await membership.create(aConfig('hospital-a'))
    const replaced = await membership.makeJoinCode(A)
    const used = await membership.makeJoinCode(A)
    expect(JSON.stringify(await opened.db.all('SELECT * FROM join_code'))).not.toContain(used.code.slice(0, 12))
    await joinWith(used.code)
    const late = await membership.makeJoinCode(A)
    clock += 60_001
    for (const { code } of [replaced, used, late, { code: 'guessed-0123456789abcdef' }]) {
      await expect(joinWith(code)).rejects.toMatchObject({ code: 'region/wrong-join-code' })
    }
  })

  it('admits one of two who show the same code at once', async () => {
    await membership.create(aConfig('hospital-a'))
    const { code } = await membership.makeJoinCode(A)
    const outcomes = await Promise.allSettled([joinWith(code), joinWith(code)])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('leaves the code good when the request is not genuine or the transport is away', async () => {
    await membership.create(aConfig('hospital-a'))
    const { code } = await membership.makeJoinCode(A)
    await expect(membership.join({ code, csr: 'no request', agentVersion: '1' })).rejects.toMatchObject({ code: 'certificate/invalid' })
    transport.away = true
    await expect(joinWith(code)).rejects.toMatchObject({ code: 'service/unavailable' })
    transport.away = false
    await expect(joinWith(code)).resolves.toMatchObject({ hospital: { id: A } })
  })

  it('again with a new code replaces the certificate and revokes the old one', async () => {
    await membership.create(aConfig('hospital-a'))
    const first = await join(A)
    const second = await join(A)
    expect(() => parties.trust.verifyChain(first.certificateChain, clock)).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
    expect(parties.trust.verifyChain(second.certificateChain, clock).party).toBe(A)
    expect(parties.certificateOf(A)?.pem).toBe(parseCertificate(second.certificateChain[0] ?? '').pem)
    expect(transport.issued).toEqual([A, A])
  })
})

describe('revoking', () => {
  it('takes certificate, credentials and open codes, and tells the others', async () => {
    await membership.create(aConfig('hospital-a'))
    await membership.create(aConfig('hospital-b'))
    const a = await join(A)
    await join(B)
    const { code } = await membership.makeJoinCode(A)
    await membership.revoke(A, '设备失窃')
    expect(() => parties.trust.verifyChain(a.certificateChain, clock)).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
    expect(parties.certificateOf(A)).toBeUndefined()
    expect(transport.revoked).toEqual([A])
    await expect(joinWith(code)).rejects.toMatchObject({ code: 'region/wrong-join-code' })
    const told = (await outbox.directories(B)).at(-1)?.body
    expect(told?.hospitals.find(({ id }) => id === A)).toMatchObject({ revoked: true, certificate: '' })
    expect((await rowsById()).get(A)).toMatchObject({ joined: false, revoked: true, online: false })
    await expect(membership.revoke(A, 'again')).resolves.toBeDefined()
  })

  it('is undone by joining with a new code', async () => {
    await membership.create(aConfig('hospital-a'))
    await join(A)
    await membership.revoke(A, '更换服务器')
    const again = await join(A)
    expect((await rowsById()).get(A)).toMatchObject({ joined: true, revoked: false })
    expect(parties.trust.verifyChain(again.certificateChain, clock).party).toBe(A)
  })

  it('is refused for a hospital that is unknown or has not joined', async () => {
    await membership.create(aConfig('hospital-a'))
    await expect(membership.revoke(A, 'x')).rejects.toMatchObject({ code: 'region/not-joined' })
    await expect(membership.revoke(B, 'x')).rejects.toMatchObject({ code: 'region/unknown-hospital' })
  })

  it('is not undone by a reading of the database that began before it', async () => {
    await membership.create(aConfig('hospital-a'))
    await join(A)
    await parties.refresh(opened.db)
    await membership.create(aConfig('hospital-b'))
    const { db } = opened
    let revoking: Promise<unknown> | undefined
    const slow: Pick<typeof db, 'all' | 'get' | 'run'> = {
      run: db.run,
      get: db.get,
      all: async <T>(sql: string) => {
        const rows = await db.all<T>(sql)
        await (revoking ??= membership.revoke(A, 'x'))
        return rows
      },
    }
    await parties.refresh(slow)
    expect(parties.certificateOf(A)).toBeUndefined()
  })

  it('reaches another hub process on the same database', async () => {
    await membership.create(aConfig('hospital-a'))
    const a = await join(A)
    const authority = await initAuthority({ dir, regionId, regionName: '云岭区域影像网' })
    const other = new KnownParties(authority, regionId)
    await other.refresh(opened.db)
    expect(other.certificateOf(A)?.party).toBe(A)
    await membership.revoke(A, 'x')
    expect(await other.refresh(opened.db)).toBe(true)
    expect(other.certificateOf(A)).toBeUndefined()
    expect(() => other.trust.verifyChain(a.certificateChain, clock)).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
  })
})

describe('who is there', () => {
  it('is online while heartbeats come, offline after three are missing, with its last operating facts', async () => {
    // FED-08
    await membership.create(aConfig('hospital-a'))
    await join(A)
    expect((await rowsById()).get(A)?.online).toBe(false)
    await presence.heartbeat(A, aHeartbeat())
    expect((await rowsById()).get(A)).toMatchObject({
      online: true,
      lastSeenAt: clock,
      agentVersion: '0.2.0',
      studies: 12,
      instances: 3_400,
      pendingMessages: 2,
    })
    clock += 3 * heartbeatMs - 1
    expect((await rowsById()).get(A)?.online).toBe(true)
    clock += 1
    expect((await rowsById()).get(A)).toMatchObject({ online: false, studies: 12 })
  })

  it('tells the console of coming, going and changed facts, and of nothing else', async () => {
    await membership.create(aConfig('hospital-a'))
    await join(A)
    await presence.look()
    const heard = async (work: () => Promise<void> | void) => {
      live.length = 0
      await work()
      await presence.look()
      return live.length
    }
    expect(await heard(() => presence.heartbeat(A, aHeartbeat()))).toBe(1)
    expect(await heard(() => presence.heartbeat(A, aHeartbeat(1e12 - 1_000)))).toBe(0)
    expect(await heard(() => presence.heartbeat(A, aHeartbeat(2e12)))).toBe(1)
    expect(await heard(() => void (clock += 3 * heartbeatMs))).toBe(1)
    expect(await heard(() => undefined)).toBe(0)
  })

  it('tells coming and going in their order when it is asked for many times at once', async () => {
    // FED-28
    await membership.create(aConfig('hospital-a'))
    await join(A)
    const told: boolean[] = []
    // The first question is answered after all others, as a busy database may do.
    let release = () => {}
    let held = 0
    const all = async <T>(sql: string, params?: readonly SqlValue[]) => {
      const rows = await opened.db.all<T>(sql, params)
      if (held++ === 1) await new Promise<void>((resolve) => (release = resolve))
      return rows
    }
    const watching = new Presence({ db: { all } as Database, heartbeatMs, announce: () => undefined, now: () => clock, onPresence: (_id, online) => told.push(online) })
    await watching.look()
    const early = watching.look()
    await vi.waitFor(() => expect(held).toBeGreaterThan(1))
    await presence.heartbeat(A, aHeartbeat())
    const late = watching.look()
    await new Promise((resolve) => setTimeout(resolve, 50))
    release()
    await Promise.all([early, late])
    expect(told).toEqual([true])
  })

  it('does not count a heartbeat of a hospital that was put out', async () => {
    await membership.create(aConfig('hospital-a'))
    await join(A)
    await membership.revoke(A, 'x')
    await presence.heartbeat(A, aHeartbeat())
    expect((await rowsById()).get(A)).toMatchObject({ online: false, lastSeenAt: null })
  })
})
