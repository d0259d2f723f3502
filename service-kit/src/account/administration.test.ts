import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isWithin, type Right } from 'specs'
import { aService, postJson, signIn, type TestService } from '../../tests/support/service.ts'
import { MemoryTrail } from '../audit/index.ts'
import { scopesOf } from '../http/user.ts'

const password = 'Zk4-bT9x-p'
interface Row {
  id: string
  username: string
  state: string
  roles: { role: string; scope: object }[]
  requestedRoles: string[]
}

describe('user management', () => {
  let service: TestService
  let url: string
  const audit = new MemoryTrail()
  let keeper: Record<string, string>
  let security: Record<string, string>

  beforeAll(async () => {
    service = await aService({ accounts: { audit } })
    for (const [username, role] of [['keeper', 'admin'], ['security', 'security-admin'], ['auditor', 'audit-admin']] as const) {
      await service.accounts.ensure({ username, password, name: username, roles: [role] })
    }
    service.face.route({ method: 'POST', path: '/api/queues/:queue/reports', summary: 'Write', allow: ['report.write'] }, ({ user, request }) => {
      const queue = String(request.params['queue'])
      return { written: scopesOf(user, 'report.write').some((scope) => isWithin(scope, { queue })) }
    })
    service.face.route({ method: 'GET', path: '/api/areas-seen', summary: 'Which areas', allow: ['exam.list'] }, ({ user }) =>
      ['总院超声', '西院超声', '生殖超声'].filter((area) => scopesOf(user, 'exam.list').some((scope) => isWithin(scope, { area }))),
    )
    service.face.route({ method: 'GET', path: '/api/images', summary: 'Images', allow: ['image.view'] }, () => ({}))
    url = await service.start()
    keeper = (await signIn(url, { username: 'keeper', password })).bearer
    security = (await signIn(url, { username: 'security', password })).bearer
  })
  afterAll(() => service.stop())

  const call = async (method: string, path: string, as: Record<string, string>, body?: unknown) => {
    const response = await fetch(`${url}${path}`, { method, headers: { 'Content-Type': 'application/json', ...as }, ...(body !== undefined && { body: JSON.stringify(body) }) })
    const text = await response.text()
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, never> & { code?: string } }
  }
  const codeOf = async (...given: Parameters<typeof call>) => {
    const { status, body } = await call(...given)
    return status < 300 ? status : body.code
  }
  /** A person who has changed the initial password, signed in. */
  const aPerson = async (username: string, facts: object = {}) => {
    const made = await call('POST', '/api/accounts', keeper, { username, name: username, ...facts })
    const { account, initialPassword } = made.body as unknown as { account: Row; initialPassword: string }
    const first = await signIn(url, { username, password: initialPassword })
    await call('PUT', '/api/password', first.bearer, { current: initialPassword, next: `${password}-${account.id.slice(0, 4)}x` })
    return { id: account.id, bearer: first.bearer, password: `${password}-${account.id.slice(0, 4)}x` }
  }
  const give = (id: string, ...roles: unknown[]) => call('PUT', `/api/accounts/${id}/roles`, security, { roles })

  it('gives a new person nothing but the change of the initial password', async () => {
    // SEC-07, SEC-13
    const { body } = await call('POST', '/api/accounts', keeper, { username: 'sun', name: '孙医生', roles: ['doctor'], phone: '138 1234 8888' })
    const { account, initialPassword } = body as unknown as { account: Row; initialPassword: string }
    expect(account).toMatchObject({ roles: [], requestedRoles: ['doctor'], phone: '138 1234 8888', state: 'active' })
    await give(account.id, 'doctor')
    const { bearer } = await signIn(url, { username: 'sun', password: initialPassword })
    expect((await call('GET', '/api/sessions/current', bearer)).body).toMatchObject({ must: 'change-password' })
    expect(await codeOf('GET', '/api/images', bearer)).toBe('access/password-change-needed')
    expect(await codeOf('PUT', '/api/password', bearer, { current: initialPassword, next: 'Password123!' })).toBe('access/password-weak')
    expect(await codeOf('PUT', '/api/password', bearer, { current: initialPassword, next: initialPassword })).toBe('access/password-weak')
    expect(await codeOf('PUT', '/api/password', bearer, { current: initialPassword, next: password })).toBe(204)
    expect(await codeOf('GET', '/api/images', bearer)).toBe(200)
  })

  it('moves a person from one group to another with effect at the next request', async () => {
    // SEC-01
    const { id, bearer } = await aPerson('group-mover')
    const role = (rights: Right[]) => call('POST', '/api/roles', security, { zh: '临时', rights })
    const [images, lists] = [await role(['image.view']), await role(['exam.list'])].map(({ body }) => (body as unknown as { id: string }).id)
    const group = async (name: string, of: string | undefined) => (await call('POST', '/api/groups', security, { name, roles: [of] })).body as unknown as { id: string }
    const [a, b] = [await group('甲组', images), await group('乙组', lists)]
    expect(await codeOf('PUT', `/api/accounts/${id}/groups`, security, { groups: [a.id] })).toBe(200)
    expect([await codeOf('GET', '/api/images', bearer), await codeOf('GET', '/api/areas-seen', bearer)]).toEqual([200, 'access/forbidden'])
    await call('PUT', `/api/accounts/${id}/groups`, security, { groups: [b.id] })
    expect([await codeOf('GET', '/api/images', bearer), await codeOf('GET', '/api/areas-seen', bearer)]).toEqual(['access/forbidden', 200])
    await call('DELETE', `/api/groups/${b.id}`, security)
    expect(await codeOf('GET', '/api/areas-seen', bearer)).toBe('access/forbidden')
  })

  it('lets the sonographer of queue A write in queue A only', async () => {
    // SEC-02
    const copy = await call('POST', '/api/roles', security, { zh: '超声医师', rights: ['report.write', 'queue.capture', 'exam.list'], copyOf: 'doctor' })
    const { id, bearer } = await aPerson('sonographer')
    await give(id, { role: (copy.body as unknown as { id: string }).id, scope: { queues: ['A'] } })
    expect((await call('POST', '/api/queues/A/reports', bearer, {})).body).toEqual({ written: true })
    expect((await call('POST', '/api/queues/B/reports', bearer, {})).body).toEqual({ written: false })
  })

  it('shows by the areas of a person: one, another, or the union', async () => {
    // REG-21, ULS-18
    const [west, main, both] = [await aPerson('west'), await aPerson('main'), await aPerson('both')]
    await give(west.id, { role: 'doctor', scope: { areas: ['西院超声'] } })
    await give(main.id, { role: 'doctor', scope: { areas: ['总院超声'] } })
    await give(both.id, { role: 'doctor', scope: { areas: ['总院超声'] } }, { role: 'technician', scope: { areas: ['生殖超声'] } })
    const seen = async ({ bearer }: { bearer: Record<string, string> }) => (await call('GET', '/api/areas-seen', bearer)).body
    expect([await seen(west), await seen(main), await seen(both)]).toEqual([['西院超声'], ['总院超声'], ['总院超声', '生殖超声']])
  })

  it('keeps the three administrative duties apart, in roles, accounts and groups', async () => {
    // SEC-07
    expect(await codeOf('POST', '/api/roles', security, { zh: '超级', rights: ['account.manage', 'audit.read'] })).toBe('access/duties-conflict')
    const { id } = await aPerson('climber')
    expect(await codeOf('PUT', `/api/accounts/${id}/roles`, security, { roles: ['admin', 'audit-admin'] })).toBe('access/duties-conflict')
    await give(id, 'admin')
    const auditors = { name: '审计组', roles: ['audit-admin'], members: [id] }
    expect(await codeOf('POST', '/api/groups', security, auditors)).toBe('access/duties-conflict')
    expect((await call('GET', `/api/accounts/${id}`, keeper)).body).toMatchObject({ roles: [{ role: 'admin' }], groups: [] })
    // Neither administrator can do the other's work, nor anything for the own account.
    expect(await codeOf('PUT', `/api/accounts/${id}/roles`, keeper, { roles: ['doctor'] })).toBe('access/forbidden')
    expect(await codeOf('POST', '/api/accounts', security, { username: 'x', name: 'x' })).toBe('access/forbidden')
    const [own] = await service.accounts.people.list({ text: 'security' })
    expect(await codeOf('PUT', `/api/accounts/${own?.id}/roles`, security, { roles: ['doctor'] })).toBe('access/own-account')
  })

  it('never loses the last administrator of a duty', async () => {
    const [auditor] = await service.accounts.people.list({ text: 'auditor' })
    const at = `/api/accounts/${auditor?.id}`
    expect(await codeOf('POST', `${at}/disable`, keeper, { reason: '离职' })).toBe('access/last-administrator')
    expect(await codeOf('PATCH', at, keeper, { validUntil: 1 })).toBe('access/last-administrator')
    expect(await codeOf('PUT', `${at}/roles`, security, { roles: [] })).toBe('access/last-administrator')
    const second = await aPerson('auditor-2')
    await give(second.id, 'audit-admin')
    expect(await codeOf('POST', `${at}/disable`, keeper, { reason: '离职' })).toBe(204)
  })

  it('ends access at once when a person is disabled, and lists who is signed in where', async () => {
    // SEC-13
    const li = await aPerson('li-leaving', { department: null })
    await give(li.id, 'doctor')
    const listed = (await call('GET', `/api/sessions?accountId=${li.id}`, keeper)).body as unknown as { id: string; username: string; address: string }[]
    expect(listed).toMatchObject([{ username: 'li-leaving', address: '127.0.0.1', current: false }])
    const again = await signIn(url, { username: 'li-leaving', password: li.password })
    expect(await codeOf('DELETE', `/api/sessions/${listed[0]?.id}`, keeper)).toBe(204)
    expect(await codeOf('GET', '/api/images', li.bearer)).toBe('access/not-signed-in')
    expect(await codeOf('GET', '/api/images', again.bearer)).toBe(200)
    await call('POST', `/api/accounts/${li.id}/disable`, keeper, { reason: '离职' })
    expect(await codeOf('GET', '/api/images', again.bearer)).toBe('access/not-signed-in')
    expect((await postJson(`${url}/api/sessions`, { username: 'li-leaving', password: li.password })).status).toBe(401)
    expect(audit.events.filter(({ object }) => object?.id === li.id).map(({ action }) => action)).toEqual(
      expect.arrayContaining(['account.create', 'account.password', 'account.roles', 'account.disable']),
    )
  })

  it('maintains campuses, departments and areas, and removes none that is in use', async () => {
    const put = (path: string, body: object) => codeOf('PUT', `/api/organisation/${path}`, keeper, body)
    expect(await put('campuses/west', { name: '西院区' })).toBe(204)
    expect(await put('departments/us', { name: '超声科', campus: 'west' })).toBe(204)
    expect(await put(`areas/${encodeURIComponent('西院超声')}`, { name: '西院超声', campus: 'west' })).toBe(204)
    expect(await put('departments/ct', { name: 'CT 室', campus: 'north' })).toBe('request/not-found')
    expect((await call('GET', '/api/organisation', security)).body).toMatchObject({
      campuses: [{ id: 'west' }],
      departments: [{ id: 'us', campus: 'west' }],
      areas: [{ id: '西院超声' }],
    })
    expect(await codeOf('DELETE', '/api/organisation/campuses/west', keeper)).toBe('access/organisation-in-use')
    expect(await codeOf('DELETE', `/api/organisation/areas/${encodeURIComponent('西院超声')}`, keeper)).toBe('access/organisation-in-use') // a scope names it
    expect(await codeOf('DELETE', '/api/organisation/departments/us', keeper)).toBe(204)
    expect(await codeOf('PUT', '/api/organisation/campuses/east', security, { name: '东院区' })).toBe('access/forbidden')
  })

  it('imports staff from a GB18030 table: looked at first, all or none, passwords handed out once', async () => {
    // SEC-13
    await call('PUT', '/api/organisation/departments/fsk', keeper, { name: '放射科' })
    // 工号,用户名,姓名,科室,角色 as a Chinese spreadsheet saves it
    const encode = (text: string) => gb18030(text).toString('base64')
    const heading = '工号,用户名,姓名,科室,角色,有效期至\r\n'
    const wrong = { file: encode(`${heading}1001,zhou,周敏,放射科,影像医生,2030-12-31\r\n1001,wu,吴,心电科,,2030-13-01\r\n`) }
    const preview = (await call('POST', '/api/accounts/import/preview', keeper, wrong)).body as unknown as { wrong: number; rows: { line: number; errors: { column: string }[] }[] }
    expect(preview.wrong).toBe(1)
    expect(preview.rows[1]).toMatchObject({ line: 3, errors: [{ column: '科室' }, { column: '有效期至' }, { column: '工号', message: '表内重复' }] })
    expect(await codeOf('POST', '/api/accounts/import', keeper, wrong)).toBe('access/import-invalid')
    expect(await service.accounts.people.list({ text: 'zhou' })).toEqual([])
    const right = { file: encode(`${heading}1001,zhou,周敏,放射科,影像医生,2030-12-31\r\n1002,wu,吴磊,放射科,,\r\n`) }
    const { body } = await call('POST', '/api/accounts/import', keeper, right)
    const { accounts } = body as unknown as { accounts: { username: string; name: string; initialPassword: string }[] }
    expect(accounts.map(({ name }) => name)).toEqual(['周敏', '吴磊'])
    const [zhou] = await service.accounts.people.list({ text: '1001' })
    expect(zhou).toMatchObject({ name: '周敏', department: 'fsk', requestedRoles: ['doctor'], mustChangePassword: true })
    expect(new Date(zhou?.validUntil ?? 0).getFullYear()).toBe(2030)
    expect((await postJson(`${url}/api/sessions`, { username: 'zhou', password: accounts[0]?.initialPassword })).status).toBe(201)
    expect(await codeOf('POST', '/api/accounts/import', keeper, right)).toBe('access/import-invalid') // they exist now
    expect(JSON.stringify([audit.events, service.logged])).not.toContain(accounts[0]?.initialPassword)
  })
})

/** The few characters of the table above; Node decodes GB18030 but does not write it. */
function gb18030(text: string): Buffer {
  const decoder = new TextDecoder('gb18030')
  const codes = new Map<string, number[]>()
  for (let high = 0x81; high < 0xff; high++)
    for (let low = 0x40; low < 0xff; low++) if (low !== 0x7f) codes.set(decoder.decode(Uint8Array.of(high, low)), [high, low])
  return Buffer.from([...text].flatMap((character) => (character < '\u0080' ? [character.charCodeAt(0)] : (codes.get(character) ?? []))))
}
