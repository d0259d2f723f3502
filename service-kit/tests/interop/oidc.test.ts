import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aService, type TestService } from '../support/service.ts'
import { freePort } from '../support/nats.ts'
import { clientOfIssuer, startIssuer, type People } from '../support/oidc-issuer.ts'

/** A browser as far as this needs one: cookies by host and port, redirects followed by hand. */
class Browser {
  readonly #cookies = new Map<string, Map<string, string>>()

  async get(address: string, init: RequestInit = {}): Promise<Response> {
    const { host } = new URL(address)
    const jar = this.#cookies.get(host) ?? new Map<string, string>()
    this.#cookies.set(host, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(address, { redirect: 'manual', ...init, headers: { ...init.headers, ...(cookie !== '' && { Cookie: cookie }) } })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }

  /** Follows redirects until something else is answered, or until `stop` says so. */
  async follow(address: string, stop: (next: string) => boolean = () => false): Promise<{ address: string; response: Response }> {
    let at = address
    for (let hops = 0; hops < 15; hops++) {
      const response = await this.get(at)
      const next = response.headers.get('location')
      if (next === null) return { address: at, response }
      at = new URL(next, at).href
      if (stop(at)) return { address: at, response }
    }
    throw new Error(`too many redirects at ${at}`)
  }
}

describe("signing in at the hospital's own identity provider", () => {
  let service: TestService
  let url: string
  let stopIssuer: () => void
  let issuer: string
  const people: People = {
    'subject-wang': { sub: 'subject-wang', preferred_username: 'wang', name: '王建华' },
    'subject-new': { sub: 'subject-new', preferred_username: 'qian', name: '钱进' },
    'subject-gao': { sub: 'subject-gao', preferred_username: 'gao', name: '改了名的人' },
    'subject-rival': { sub: 'subject-rival', preferred_username: 'wang', name: '冒充者' },
  }

  beforeAll(async () => {
    const port = await freePort()
    const providerPort = await freePort()
    issuer = `http://127.0.0.1:${providerPort}`
    url = `http://127.0.0.1:${port}`
    const callbacks = ['his', 'strict'].map((id) => `${url}/api/oidc/${id}/callback`)
    stopIssuer = (await startIssuer({ port: providerPort, redirectUris: callbacks, people })).stop
    const common = { issuer, ...clientOfIssuer, insecure: true }
    service = await aService({
      accounts: {
        identity: {
          secondFactor: 'administrators',
          oidc: [
            { id: 'his', name: '医院统一认证', createWithRole: 'clinician', ...common },
            { id: 'strict', name: '只认已有账号', ...common },
          ],
        },
      },
    })
    service.face.route({ method: 'GET', path: '/api/images', summary: 'Images', allow: ['image.view'] }, () => ({}))
    service.face.route({ method: 'GET', path: '/api/export', summary: 'Export', allow: ['image.export'] }, () => ({}))
    await service.face.listen({ host: '127.0.0.1', port })
  })
  afterAll(async () => {
    await service.stop()
    stopIssuer()
  })

  /** Walks through the provider's pages as `subject`, up to the callback. */
  const visit = async (browser: Browser, provider: string, subject: string, returnTo = '/desk/exams') => {
    const isCallback = (next: string) => next.includes('/callback?')
    let step = await browser.follow(`${url}/api/oidc/${provider}/sign-in?returnTo=${encodeURIComponent(returnTo)}`, isCallback)
    for (let form = 0; form < 3 && !isCallback(step.address); form++) {
      const page = await step.response.text()
      const [, action = ''] = /action="([^"]+)"/.exec(page) ?? []
      const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? 'login'
      const answer = await browser.get(new URL(action, step.address).href, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ prompt, login: subject, password: 'any' }),
      })
      step = await browser.follow(new URL(answer.headers.get('location') ?? '', step.address).href, isCallback)
    }
    return step.address
  }
  const codeOf = (response: Response) => new URL(response.headers.get('location') ?? '', url).searchParams.get('signIn')

  it('is offered to the sign-in page', async () => {
    // SEC-07
    expect(await (await fetch(`${url}/api/sign-in-methods`)).json()).toMatchObject({
      password: true,
      oidc: [{ id: 'his', name: '医院统一认证', href: '/api/oidc/his/sign-in' }, { id: 'strict' }],
    })
  })

  it('opens the account that the claim names, and returns to the page that was asked for', async () => {
    const browser = new Browser()
    const done = await browser.get(await visit(browser, 'his', 'subject-wang'))
    expect([done.status, done.headers.get('location')]).toEqual([302, '/desk/exams'])
    const current = (await (await browser.get(`${url}/api/sessions/current`)).json()) as { user: object; strong: boolean }
    expect(current).toMatchObject({ user: { username: 'wang', authMethod: 'oidc' }, strong: false })
    expect((await browser.get(`${url}/api/images`)).status).toBe(200)
    expect((await browser.get(`${url}/api/export`)).status).toBe(403) // the provider told of no second factor
  })

  it('makes an account with the default role where that is wished, and not elsewhere', async () => {
    const refused = new Browser()
    expect(codeOf(await refused.get(await visit(refused, 'strict', 'subject-new')))).toBe('access/no-account')
    const browser = new Browser()
    await browser.get(await visit(browser, 'his', 'subject-new'))
    expect(await (await browser.get(`${url}/api/sessions/current`)).json()).toMatchObject({ user: { username: 'qian', name: '钱进', roles: ['clinician'] } })
  })

  it('opens an account to nobody else who bears its name at the provider', async () => {
    const browser = new Browser()
    expect(codeOf(await browser.get(await visit(browser, 'his', 'subject-rival')))).toBe('access/no-account')
    expect((await browser.get(`${url}/api/images`)).status).toBe(401)
  })

  it('opens no administrator’s account to whoever first comes with its name', async () => {
    // SEC-07
    await service.accounts.ensure({ username: 'gao', password: 'Hk3-vW8q-r', name: '高管理', roles: ['security-admin'] })
    const browser = new Browser()
    expect(codeOf(await browser.get(await visit(browser, 'his', 'subject-gao')))).toBe('access/no-account')
    const own = new Browser()
    await own.get(`${url}/api/sessions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'gao', password: 'Hk3-vW8q-r' }) })
    expect(codeOf(await own.get(await visit(own, 'his', 'subject-gao')))).toBeNull() // begun signed in here: bound
    const later = new Browser()
    expect(codeOf(await later.get(await visit(later, 'his', 'subject-gao')))).toBeNull()
  })

  it('does not accept an answer in another browser, a second time, or with another state', async () => {
    const browser = new Browser()
    const callback = await visit(browser, 'his', 'subject-wang')
    expect(codeOf(await new Browser().get(callback))).toBe('access/ticket-ended')
    expect(codeOf(await browser.get(callback.replace(/state=[^&]+/, 'state=forged')))).toBe('access/oidc-failed')
    expect(codeOf(await browser.get(callback))).toBe('access/ticket-ended')
  })

  it('returns to pages of ours only', async () => {
    for (const elsewhere of ['https://evil.example/', '//evil.example/', '/\\evil.example']) {
      const browser = new Browser()
      const done = await browser.get(await visit(browser, 'his', 'subject-wang', elsewhere))
      expect(done.headers.get('location')).toBe('/')
    }
  })

  it('ends with the account: whoever is disabled here does not come in from there', async () => {
    const [wang] = await service.accounts.people.list({ text: 'wang' })
    await service.accounts.people.disable(undefined, wang?.id ?? '', '离职')
    const browser = new Browser()
    expect(codeOf(await browser.get(await visit(browser, 'his', 'subject-wang')))).toBe('access/wrong-credentials')
  })
})

