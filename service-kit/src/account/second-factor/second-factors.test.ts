import { TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aService, doctor, postJson, signIn, type TestService } from '../../../tests/support/service.ts'
import { MemoryTrail } from '../../audit/index.ts'

const keeper = { username: 'keeper', password: 'Zk4-bT9x-p', name: '管理员', roles: ['admin'] }

describe('the second factor', () => {
  let service: TestService
  let url: string
  let now = Date.now()
  const audit = new MemoryTrail()
  beforeAll(async () => {
    service = await aService({ accounts: { now: () => now, audit, identity: { secondFactor: 'administrators' } } })
    await service.accounts.ensure(keeper)
    service.face.route({ method: 'GET', path: '/api/images', summary: 'Images', allow: ['image.view'] }, () => ({}))
    service.face.route({ method: 'GET', path: '/api/export', summary: 'Export', allow: ['image.export'] }, () => ({}))
    url = await service.start()
  })
  afterAll(() => service.stop())

  const code = (secret: string) => new TOTP({ secret }).generate({ timestamp: now })
  const nextStep = () => (now += 30_000)
  const get = async (path: string, headers: Record<string, string>) => {
    const response = await fetch(`${url}${path}`, { headers })
    return response.ok ? response.status : ((await response.json()) as { code: string }).code
  }
  const step = async (ticket: string, proof: object) => {
    const response = await postJson(`${url}/api/sessions/second-factor`, { ticket, proof })
    const body = (await response.json()) as { token?: string; code?: string }
    return { status: response.status, code: body.code, bearer: { Authorization: `Bearer ${body.token}` } }
  }
  const password = async (who: { username: string; password: string }) => {
    const response = await postJson(`${url}/api/sessions`, who)
    return { status: response.status, ...((await response.json()) as { ticket: string; secondFactorNeeded: string[]; token?: string }) }
  }
  /** Enrols an app, as its owner would. */
  const enrol = async (who: { username: string; password: string }) => {
    const { bearer } = await signIn(url, who)
    const begun = (await (await postJson(`${url}/api/second-factors/totp/begin`, { password: who.password }, bearer)).json()) as { ticket: string; secret: string; qr: string; uri: string }
    const done = await postJson(`${url}/api/second-factors/totp`, { ticket: begun.ticket, code: code(begun.secret), name: '手机' }, bearer)
    const { recoveryCodes } = (await done.json()) as { recoveryCodes: string[] }
    nextStep()
    return { bearer, secret: begun.secret, recoveryCodes, begun }
  }

  it('is asked of whoever uses a privileged right, and opens it in the same session once it is enrolled', async () => {
    // SEC-07
    const { bearer } = await signIn(url, keeper)
    expect(await get('/api/accounts', bearer)).toBe('access/second-factor-needed')
    expect(await get('/api/organisation', bearer)).toBe(200)
    const enrolled = await enrol(keeper)
    expect(enrolled.begun.qr).toMatch(/^data:image\/png;base64,/)
    expect(enrolled.begun.uri).toMatch(/^otpauth:\/\/totp\//)
    expect(enrolled.recoveryCodes).toHaveLength(10)
    expect(await get('/api/accounts', enrolled.bearer)).toBe(200)
    expect(await get('/api/accounts', bearer)).toBe('access/second-factor-needed') // the other session has shown nothing
    // A doctor views without, and exports with it.
    const wang = await signIn(url, doctor)
    expect([await get('/api/images', wang.bearer), await get('/api/export', wang.bearer)]).toEqual([200, 'access/second-factor-needed'])

    // from now on the password alone opens nothing
    const first = await password(keeper)
    expect(first).toMatchObject({ status: 202, secondFactorNeeded: ['totp', 'recovery'] })
    expect(first.token).toBeUndefined()
    const shown = code(enrolled.secret)
    const second = await step(first.ticket, { totp: shown })
    expect(await get('/api/accounts', second.bearer)).toBe(200)
    expect((await step(first.ticket, { totp: shown })).code).toBe('access/ticket-ended')
    const other = await password(keeper)
    expect((await step(other.ticket, { totp: shown })).code).toBe('access/second-factor-wrong') // somebody looked over the shoulder
    nextStep()
    expect((await step(other.ticket, { totp: code(enrolled.secret) })).status).toBe(201)

    // a recovery code works once
    const [recovery = ''] = enrolled.recoveryCodes
    expect((await step((await password(keeper)).ticket, { recoveryCode: recovery.toLowerCase() })).status).toBe(201)
    expect((await step((await password(keeper)).ticket, { recoveryCode: recovery })).code).toBe('access/second-factor-wrong')
  })

  it('counts wrong codes as failed sign-ins, also when the password is shown anew in between', async () => {
    await service.accounts.ensure({ ...doctor, username: 'guessed' })
    await enrol({ ...doctor, username: 'guessed' })
    const answers = []
    for (let i = 0; i < 6; i++) {
      const { status, ticket } = await password({ ...doctor, username: 'guessed' })
      answers.push(status === 202 ? (await step(ticket, { totp: '000000' })).code : status)
    }
    expect(answers).toContain(429)
    expect(answers.slice(0, 4)).toEqual(Array(4).fill('access/second-factor-wrong'))
  })

  it('is not added by a found browser: the first asks for the password, the next for the first', async () => {
    await service.accounts.ensure({ ...doctor, username: 'careful' })
    const { bearer } = await signIn(url, { ...doctor, username: 'careful' })
    const begin = async (headers: Record<string, string>, body: object) => ((await (await postJson(`${url}/api/second-factors/totp/begin`, body, headers)).json()) as { code?: string }).code
    expect(await begin(bearer, {})).toBe('access/wrong-credentials')
    const enrolled = await enrol({ ...doctor, username: 'careful' })
    expect(await begin(bearer, { password: doctor.password })).toBe('access/second-factor-needed')
    expect(await begin(enrolled.bearer, {})).toBeUndefined()
    const { factors } = (await (await fetch(`${url}/api/second-factors`, { headers: bearer })).json()) as { factors: { id: string }[] }
    const remove = (headers: Record<string, string>) => fetch(`${url}/api/second-factors/${factors[0]?.id}`, { method: 'DELETE', headers })
    expect([(await remove(bearer)).status, (await remove(enrolled.bearer)).status]).toEqual([403, 204])
  })

  it('is taken away by an administrator from somebody who has lost it, with a trace, never from oneself', async () => {
    await service.accounts.ensure({ ...doctor, username: 'lost' })
    await enrol({ ...doctor, username: 'lost' })
    const [lost] = await service.accounts.people.list({ text: 'lost' })
    const [self] = await service.accounts.people.list({ text: 'keeper' })
    const [doctorSession] = [await signIn(url, doctor)]
    const reset = (id: string | undefined, headers: Record<string, string>) => postJson(`${url}/api/accounts/${id}/second-factors/reset`, {}, headers)
    expect((await reset(lost?.id, doctorSession.bearer)).status).toBe(403)
    const codes = await service.db.get<{ n: number }>('SELECT COUNT(*) AS n FROM recovery_code WHERE account_id = $1', [self?.id ?? ''])
    expect(codes?.n).toBe(9)
    const by = { ...(await service.accounts.sessions.current((await service.accounts.sessions.list(self?.id))[0]?.id ?? '')) }.user
    await expect(service.accounts.factors.reset(by!, self?.id ?? '')).rejects.toMatchObject({ code: 'access/own-account' })
    await service.accounts.factors.reset(by!, lost?.id ?? '')
    expect((await password({ ...doctor, username: 'lost' })).status).toBe(201)
    expect(audit.events).toContainEqual(expect.objectContaining({ action: 'account.second-factor', object: { type: 'account', id: lost?.id }, facts: { reset: true } }))
  })

  it('is neither in the log nor readable in the trail', async () => {
    const { begun, recoveryCodes } = await (async () => {
      await service.accounts.ensure({ ...doctor, username: 'secretive' })
      return enrol({ ...doctor, username: 'secretive' })
    })()
    const written = JSON.stringify([service.logged, audit.events])
    for (const secret of [begun.secret, begun.ticket, ...recoveryCodes]) expect(written).not.toContain(secret)
  })
})

describe('a second factor for everybody', () => {
  it('lets a person without one only enrol it', async () => {
    const service = await aService({ accounts: { identity: { secondFactor: 'everyone' } } })
    service.face.route({ method: 'GET', path: '/api/images', summary: 'Images', allow: ['image.view'] }, () => ({}))
    const url = await service.start()
    const { bearer } = await signIn(url, doctor)
    expect((await fetch(`${url}/api/images`, { headers: bearer })).status).toBe(403)
    expect(await (await fetch(`${url}/api/sessions/current`, { headers: bearer })).json()).toMatchObject({ must: 'enrol-second-factor' })
    expect((await postJson(`${url}/api/second-factors/totp/begin`, { password: doctor.password }, bearer)).status).toBe(200)
    await service.stop()
  })
})
