import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { aService, doctor, postJson, signIn, type TestService } from '../../tests/support/service.ts'
import { nodeRoles } from 'specs'
import { createAccounts } from './index.ts'

describe('local accounts', () => {
  let service: TestService
  let url: string
  let now = Date.now()
  beforeEach(async () => {
    now = Date.now()
    await service.db.run('DELETE FROM sign_in_failure')
  })
  beforeAll(async () => {
    service = await aService({
      accounts: {
        now: () => now,
        extra: () => ({ hospital: { id: 'hospital-a', name: '云溪县人民医院' } }),
        identity: { secondFactor: 'optional', lockOut: { failures: 3, failuresPerAddress: 50 } },
      },
      face: { trustProxy: 1 },
    })
    url = await service.start()
  })
  afterAll(() => service.stop())

  let addresses = 0
  /** Each test comes from an address of its own, through the proxy. */
  const aVisitor = () => ({ 'X-Forwarded-For': `10.0.0.${++addresses}` })
  const attempt = (username: string, password: string, headers: Record<string, string>) =>
    postJson(`${url}/api/sessions`, { username, password }, headers)
  const whoAmI = (headers: Record<string, string>) => fetch(`${url}/api/sessions/current`, { headers })
  const idOf = async (username: string) => (await service.accounts.people.list({ text: username }))[0]?.id ?? ''

  it('open the API to whoever knows the password, by token and by cookie', async () => {
    const response = await attempt(' WANG ', doctor.password, aVisitor())
    expect(response.status).toBe(201)
    const body = (await response.json()) as { token: string }
    expect(body).toEqual({
      hospital: { id: 'hospital-a', name: '云溪县人民医院' },
      token: expect.any(String),
      user: { id: expect.any(String), username: 'wang', name: '王医生', title: '主治医师', roles: ['doctor'], rights: expect.arrayContaining(['exam.list', 'image.view']), authMethod: 'password', signedInAt: expect.any(Number) },
    })
    const cookie = response.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/^lianpian_hospital-a=[^;]+; Max-Age=43(?:199|200); Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/)
    for (const headers of [{ Authorization: `Bearer ${body.token}` }, { Cookie: `other=1; ${cookie.split(';')[0]}` }] as Record<
      string,
      string
    >[]) {
      expect(await (await whoAmI(headers)).json()).toMatchObject({ user: { username: 'wang' }, hospital: { id: 'hospital-a' } })
    }
  })

  it('send the cookie over TLS only when the visitor came by TLS', async () => {
    const response = await attempt(doctor.username, doctor.password, { ...aVisitor(), 'X-Forwarded-Proto': 'https' })
    expect(response.headers.get('set-cookie')).toContain('; Secure')
    expect(response.headers.get('strict-transport-security')).toContain('max-age')
  })

  it('answer a wrong name, a wrong password and a disabled account with the same words', async () => {
    // SEC-11
    await service.accounts.ensure({ username: 'left', password: 'has left us', name: '离职', roles: ['doctor'] })
    await service.accounts.people.disable(undefined, await idOf('left'), '离职')
    const visitor = aVisitor()
    const answers = [
      await attempt('nobody', 'whatever it is', visitor),
      await attempt('wang', 'wrong', visitor),
      await attempt('left', 'has left us', visitor),
    ]
    const bodies = await Promise.all(answers.map((answer) => answer.json()))
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401])
    expect(bodies[0]).toMatchObject({ code: 'access/wrong-credentials', facts: {} })
    expect(bodies[1]).toEqual(bodies[0])
    expect(bodies[2]).toEqual(bodies[0])
    expect(answers.every(({ headers }) => headers.get('set-cookie') === null)).toBe(true)
  })

  it('take as long for an unknown name as for a wrong password', async () => {
    const took = async (username: string) => {
      const times = []
      for (let i = 0; i < 2; i++) {
        const began = performance.now()
        await attempt(username, 'wrong', aVisitor())
        times.push(performance.now() - began)
      }
      return Math.min(...times)
    }
    const [known, unknown] = [await took('wang'), await took('nobody')]
    expect(unknown).toBeGreaterThan(known / 4)
  })

  it('lock a user name after some failures for half an hour, whether it exists or not, and nobody else', async () => {
    // SEC-07
    for (const name of ['wang', 'nobody']) {
      const guesses = await Promise.all(Array.from({ length: 5 }, () => attempt(name, 'guess', aVisitor())))
      expect(guesses.map(({ status }) => status).sort()).toEqual([401, 401, 401, 429, 429])
    }
    const right = await attempt('wang', doctor.password, aVisitor())
    expect([right.status, ((await right.json()) as { code: string }).code]).toEqual([429, 'access/locked'])
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(29 * 60)
    expect((await attempt('admin', 'battery staple', aVisitor())).status).toBe(201)
    now += 30 * 60_000 + 1
    expect((await attempt('wang', doctor.password, aVisitor())).status).toBe(201)
  })

  it('shut out an address that tries many names, also after a restart', async () => {
    const guesser = aVisitor()
    for (let i = 0; i < 50; i++) await attempt(`name-${i}`, 'guess', guesser)
    const other = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, now: () => now, identity: { lockOut: { failuresPerAddress: 50 } } })
    const origin = { address: guesser['X-Forwarded-For'], device: '' }
    await expect(other.signIn('wang', doctor.password, origin)).rejects.toMatchObject({ code: 'request/too-many' })
    expect((await attempt('wang', doctor.password, aVisitor())).status).toBe(201)
  }, 30_000)

  it('forget earlier slips after a right password', async () => {
    const visitor = aVisitor()
    for (let round = 0; round < 2; round++) {
      await Promise.all([attempt('wang', 'slip', visitor), attempt('wang', 'slip', visitor)])
      expect((await attempt('wang', doctor.password, visitor)).status).toBe(201)
    }
  })

  it('end a session by signing out, everywhere', async () => {
    const { bearer, cookie } = await signIn(url, doctor)
    expect((await fetch(`${url}/api/sessions/current`, { method: 'DELETE', headers: { Cookie: cookie } })).status).toBe(403) // another site's doing
    const out = await fetch(`${url}/api/sessions/current`, { method: 'DELETE', headers: bearer })
    expect(out.status).toBe(204)
    expect(out.headers.get('set-cookie')).toMatch(/^lianpian_hospital-a=;.*Expires=Thu, 01 Jan 1970/)
    expect((await whoAmI(bearer)).status).toBe(401)
    expect((await whoAmI({ Cookie: cookie })).status).toBe(401)
  })

  it('end sessions after twelve hours, however busy', async () => {
    const { bearer } = await signIn(url, doctor)
    for (let quarter = 1; quarter < 72; quarter++) {
      now += 600_000
      expect((await fetch(`${url}/api/organisation`, { headers: bearer })).status).toBe(200)
    }
    now += 610_000
    expect((await whoAmI(bearer)).status).toBe(401)
  })

  it('end all sessions at once when an account is disabled or gets a new password', async () => {
    await service.accounts.ensure({ username: 'li', password: 'first password', name: '李', roles: ['doctor'] })
    const first = await signIn(url, { username: 'li', password: 'first password' })
    await service.accounts.passwords.set(await idOf('li'), 'Zk4-bT9x-p')
    expect((await whoAmI(first.bearer)).status).toBe(401)
    const second = await signIn(url, { username: 'li', password: 'Zk4-bT9x-p' })
    await service.accounts.people.disable(undefined, await idOf('li'), '离职')
    expect((await whoAmI(second.bearer)).status).toBe(401)
    expect((await attempt('li', 'Zk4-bT9x-p', aVisitor())).status).toBe(401)
  })

  it('refuse a token that is altered, unsigned, of another party or signed with another key', async () => {
    const { token } = await signIn(url, doctor)
    const [head = '', body = '', signature = ''] = token.split('.')
    const claims = JSON.parse(atob(body.replaceAll('-', '+').replaceAll('_', '/'))) as Record<string, unknown>
    const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll('=', '')
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'x' }).sign(new Uint8Array(32))
    const wrong = [
      `${head}.${encode({ ...claims, sub: 'admin' })}.${signature}`,
      `${encode({ alg: 'none' })}.${body}.`,
      forged,
      'not-a-token',
      `${token}x`,
      token.slice(0, -2),
    ]
    for (const each of wrong) expect((await whoAmI({ Authorization: `Bearer ${each}` })).status).toBe(401)
    expect((await whoAmI({ Authorization: 'Basic d2FuZzp4' })).status).toBe(401)
    const other = await createAccounts({ db: service.db, party: 'hospital-b', roles: nodeRoles, log: service.face.log })
    await expect(
      other.signedIn({ get: (name: string) => (name === 'authorization' ? `Bearer ${token}` : undefined) }),
    ).rejects.toMatchObject({ code: 'access/not-signed-in' })
  })

  it('are made once, with a password worth its name and roles that exist', async () => {
    await service.accounts.ensure({ ...doctor, username: 'Wang', password: 'another password' })
    expect((await attempt('wang', doctor.password, aVisitor())).status).toBe(201)
    await expect(service.accounts.create({ ...doctor, password: 'Zk4-bT9x-p' })).rejects.toMatchObject({ code: 'request/conflict' })
    await expect(service.accounts.create({ ...doctor, username: 'x', password: 'short-ly' })).rejects.toMatchObject({
      code: 'access/password-weak',
    })
    await expect(service.accounts.create({ ...doctor, username: 'x', password: 'Zk4-bT9x-p', roles: ['god'] })).rejects.toMatchObject({ code: 'request/invalid' })
    await expect(service.accounts.people.disable(undefined, 'nobody', '')).rejects.toMatchObject({ code: 'request/not-found' })
  })

  it('keep passwords as scrypt only, and neither password nor token in the log', async () => {
    const { token } = await signIn(url, doctor)
    const rows = await service.db.all<{ password: string }>('SELECT password FROM account')
    expect(rows.every(({ password }) => password.startsWith('scrypt$15$8$1$'))).toBe(true)
    expect(new Set(rows.map(({ password }) => password)).size).toBe(rows.length)
    const log = JSON.stringify(service.logged)
    for (const secret of [doctor.password, token, 'wrong']) expect(log).not.toContain(`"${secret}"`)
  })

  it('survive a restart together with their sessions', async () => {
    const { token } = await signIn(url, doctor)
    const again = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log })
    const signedIn = await again.signedIn({ get: (name: string) => (name === 'authorization' ? `Bearer ${token}` : undefined) })
    expect(signedIn?.user.username).toBe('wang')
  })
})
