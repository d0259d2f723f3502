import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { nodeRoles } from 'specs'
import { aService, doctor, postJson, signIn, type TestService } from '../../../tests/support/service.ts'
import { createAccounts } from '../accounts.ts'

const MINUTE = 60_000

describe('sessions', () => {
  let service: TestService
  let url: string
  let now = Date.now()
  beforeAll(async () => {
    service = await aService({ accounts: { now: () => now } })
    service.face.route({ method: 'GET', path: '/api/images', summary: 'Images', allow: ['image.view'] }, () => ({}))
    url = await service.start()
  })
  beforeEach(() => {
    now = Date.now()
  })
  afterAll(() => service.stop())
  const images = async (headers: Record<string, string>) => (await fetch(`${url}/api/images`, { headers })).status

  it('end after a quarter of an hour without anybody at work; what a page fetches by itself is nobody', async () => {
    // SEC-07
    const { bearer } = await signIn(url, doctor)
    for (let i = 0; i < 4; i++) {
      now += 10 * MINUTE
      expect(await images(bearer)).toBe(200)
    }
    now += 10 * MINUTE
    expect(await images({ ...bearer, 'X-Lianpian-Background': '1' })).toBe(200)
    expect((await fetch(`${url}/api/sessions/current`, { headers: bearer })).status).toBe(200)
    now += 6 * MINUTE
    expect(await images(bearer)).toBe(401)
  })

  it('go on while somebody reads without requests and the page tells it', async () => {
    const { bearer } = await signIn(url, doctor)
    for (let i = 0; i < 3; i++) {
      now += 14 * MINUTE
      expect((await postJson(`${url}/api/sessions/current/activity`, {}, bearer)).status).toBe(204)
    }
    expect(await images(bearer)).toBe(200)
  })

  it('do not live on a stream of live events, which ends with them', async () => {
    const { bearer } = await signIn(url, doctor)
    const stream = await fetch(`${url}/api/events`, { headers: bearer })
    const reader = stream.body?.getReader()
    await reader?.read()
    now += 16 * MINUTE
    await service.accounts.sweep()
    const ended = async (): Promise<boolean> => ((await reader?.read().catch(() => ({ done: true })))?.done ? true : ended())
    expect(await ended()).toBe(true)
  })

  it('have the idle time of their account, and none where a screen must stay', async () => {
    const people = { reading: 30, screen: 0 }
    for (const [username, idleMinutes] of Object.entries(people)) {
      await service.accounts.ensure({ ...doctor, username })
      const [account] = await service.accounts.people.list({ text: username })
      await service.accounts.people.change(account?.id ?? '', { idleMinutes })
    }
    const [reading, screen, other] = [await signIn(url, { ...doctor, username: 'reading' }), await signIn(url, { ...doctor, username: 'screen' }), await signIn(url, doctor)]
    // The page warns before the end, so it is told the time that holds for this account.
    const told = ({ bearer }: { bearer: Record<string, string> }) => fetch(`${url}/api/sessions/current`, { headers: bearer }).then(async (answer) => ((await answer.json()) as { idleMinutes: number }).idleMinutes)
    expect([await told(reading), await told(screen), await told(other)]).toEqual([30, 0, 15])
    now += 20 * MINUTE
    await service.accounts.sweep()
    expect([await images(reading.bearer), await images(screen.bearer), await images(other.bearer)]).toEqual([200, 200, 401])
    now += 31 * MINUTE
    await service.accounts.sweep()
    expect([await images(reading.bearer), await images(screen.bearer)]).toEqual([401, 200])
  })

  it('begin under a new id whatever the browser showed, and the former one of the browser ends', async () => {
    const first = await signIn(url, doctor)
    const again = await postJson(`${url}/api/sessions`, doctor, { Cookie: first.cookie })
    const cookie = (again.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
    expect(cookie).not.toBe(first.cookie)
    expect(await images({ Cookie: first.cookie })).toBe(401)
    expect(await images({ Cookie: cookie })).toBe(200)
  })

  it('are listed to their owner, who ends those of other places', async () => {
    const here = await signIn(url, doctor)
    const elsewhere = await signIn(url, doctor)
    const own = (await (await fetch(`${url}/api/sessions/own`, { headers: here.bearer })).json()) as { id: string; current: boolean; device: string }[]
    expect(own.filter(({ current }) => current)).toHaveLength(1)
    expect(own[0]?.device).not.toBe('')
    for (const { id, current } of own) if (!current) await fetch(`${url}/api/sessions/own/${id}`, { method: 'DELETE', headers: here.bearer })
    expect([await images(here.bearer), await images(elsewhere.bearer)]).toEqual([200, 401])
    const stranger = await signIn(url, { username: 'admin', password: 'battery staple' })
    const mine = (await service.accounts.sessions.list()).find(({ username }) => username === 'wang')
    expect((await fetch(`${url}/api/sessions/own/${mine?.id}`, { method: 'DELETE', headers: stranger.bearer })).status).toBe(404)
  })

  it('outlive the rotation of the key that signed their token, in this process and in another', async () => {
    const before = await signIn(url, doctor)
    await service.accounts.rotateSessionKey()
    const after = await signIn(url, doctor)
    const kid = (token: string) => (JSON.parse(atob(token.split('.')[0] ?? '')) as { kid: string }).kid
    expect(kid(after.token)).not.toBe(kid(before.token))
    expect([await images(before.bearer), await images(after.bearer)]).toEqual([200, 200])
    const shown = (token: string) => ({ get: (name: string) => (name === 'authorization' ? `Bearer ${token}` : undefined) })
    const other = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, now: () => now })
    expect((await other.signedIn(shown(before.token)))?.user.username).toBe('wang')
    await service.accounts.rotateSessionKey() // the other process has not heard of this one
    now += 2_000
    expect((await other.signedIn(shown((await signIn(url, doctor)).token)))?.user.username).toBe('wang')
  })

  it('are signed with a new key after thirty days, and keys go when nothing can need them', async () => {
    const keys = () => service.db.all<{ id: string }>('SELECT id FROM account_key ORDER BY created_at DESC')
    const [newest] = await keys()
    const month = 31 * 24 * 60 * MINUTE
    now += month
    const later = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, now: () => now })
    expect((await keys())[0]?.id).not.toBe(newest?.id)
    now += 2 * month
    await later.rotateSessionKey()
    expect((await keys()).map(({ id }) => id)).not.toContain(newest?.id)
  })

  it('can be limited to one for each account', async () => {
    const strict = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, identity: { session: { onePerAccount: true } } })
    const origin = { address: '10.0.0.1', device: 'one' }
    await signIn(url, doctor)
    await strict.signIn(doctor.username, doctor.password, origin)
    expect((await strict.sessions.list()).filter(({ username }) => username === 'wang').map(({ device }) => device)).toEqual(['one'])
  })
})

describe('passwords and accounts that grow old', () => {
  it('ask for a new password after ninety days, and not one of the last five', async () => {
    // SEC-07
    let now = Date.now()
    const service = await aService({ accounts: { now: () => now } })
    const url = await service.start()
    const change = async (bearer: Record<string, string>, current: string, next: string) => {
      const response = await fetch(`${url}/api/password`, { method: 'PUT', headers: { ...bearer, 'Content-Type': 'application/json' }, body: JSON.stringify({ current, next }) })
      return response.status === 204 ? 204 : ((await response.json()) as { facts: { faults: string[] } }).facts.faults
    }
    now += 89 * 86_400_000
    expect(await (await postJson(`${url}/api/sessions`, doctor)).json()).not.toHaveProperty('must')
    now += 2 * 86_400_000
    const { token, must } = (await (await postJson(`${url}/api/sessions`, doctor)).json()) as { token: string; must: string }
    expect(must).toBe('change-password')
    const bearer = { Authorization: `Bearer ${token}` }
    let current = doctor.password
    for (let i = 0; i < 5; i++) {
      const next = `Zk4-bT9x-p${i}`
      expect(await change(bearer, current, next)).toBe(204)
      now += 1
      current = next
    }
    for (const former of ['Zk4-bT9x-p0', current]) expect(await change(bearer, current, former)).toEqual(['used-before'])
    expect(await change(bearer, current, 'Zk4-bT9x-p9')).toBe(204)
    expect(await change(bearer, 'Zk4-bT9x-p9', 'Zk4-bT9x-p0')).toBe(204) // the sixth before
    await service.stop()
  }, 60_000)

  it('disable whoever has not come for ninety days, but not the last administrator of a duty', async () => {
    let now = Date.now()
    const service = await aService({ accounts: { now: () => now } })
    await service.start()
    now += 91 * 86_400_000
    await expect(service.accounts.signIn(doctor.username, doctor.password, { address: 'x', device: '' })).rejects.toMatchObject({ code: 'access/wrong-credentials' })
    await service.accounts.sweep()
    expect((await service.accounts.people.list()).map(({ username, state }) => [username, state])).toEqual([['admin', 'active'], ['wang', 'disabled']])
    const [wang] = await service.accounts.people.list({ text: 'wang' })
    await service.accounts.people.enable(wang?.id ?? '')
    expect(await service.accounts.signIn(doctor.username, doctor.password, { address: 'x', device: '' })).toHaveProperty('token')
    await service.stop()
  })
})
