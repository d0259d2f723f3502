import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, CDPSession, Page } from 'playwright-core'
import { launchBrowser } from '../../../tests/support/browser.ts'
import { aService, doctor, type TestService } from '../support/service.ts'

/** A real browser with its own authenticator: the peer that WebAuthn is for. */
describe('a security key in Chromium', () => {
  let service: TestService
  let browser: Browser
  let page: Page
  let cdp: CDPSession
  let url: string

  beforeAll(async () => {
    service = await aService({ accounts: { identity: { secondFactor: 'administrators' } } })
    service.face.route({ method: 'GET', path: '/api/export', summary: 'Export', allow: ['image.export'] }, () => ({}))
    // An address may not own a key (WebAuthn: the relying party is a domain), so the page is at localhost.
    url = (await service.start()).replace('127.0.0.1', 'localhost')
    browser = await launchBrowser()
    page = await (await browser.newContext()).newPage()
    await page.goto(`${url}/health`)
    cdp = await page.context().newCDPSession(page)
    await cdp.send('WebAuthn.enable')
    await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: { protocol: 'ctap2', transport: 'usb', hasResidentKey: false, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    })
  })
  afterAll(async () => {
    await browser.close()
    await service.stop()
  })

  /** As a page of ours would ask: with the cookie, and the header that other sites cannot set. */
  const ask = (method: string, path: string, body?: unknown) =>
    page.evaluate(
      async ([method, path, body]) => {
        const response = await fetch(path as string, {
          method: method as string,
          headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'lianpian' },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        })
        const text = await response.text()
        return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> }
      },
      [method, path, body] as const,
    )
  /** What the page does with the key: the same two calls as our sign-in page. */
  const key = (use: 'create' | 'get', options: unknown) =>
    page.evaluate(
      async ([use, options]) => {
        interface Credentials {
          create(options: object): Promise<{ toJSON(): unknown }>
          get(options: object): Promise<{ toJSON(): unknown }>
        }
        interface Parser {
          parseCreationOptionsFromJSON(options: unknown): unknown
          parseRequestOptionsFromJSON(options: unknown): unknown
        }
        const scope = globalThis as unknown as { navigator: { credentials: Credentials }; PublicKeyCredential: Parser }
        const parser = scope.PublicKeyCredential
        const publicKey = use === 'create' ? parser.parseCreationOptionsFromJSON(options) : parser.parseRequestOptionsFromJSON(options)
        return (await scope.navigator.credentials[use]({ publicKey })).toJSON()
      },
      [use, options] as const,
    )

  it('is enrolled, then opens what needs a second factor, and cannot be replayed or used by another', async () => {
    // SEC-07
    const { username, password } = doctor
    await ask('POST', '/api/sessions', { username, password })
    expect((await ask('GET', '/api/export')).status).toBe(403)
    const begun = await ask('POST', '/api/second-factors/webauthn/begin', { password })
    expect(begun.status).toBe(200)
    const credential = await key('create', begun.body['options'])
    const enrolled = await ask('POST', '/api/second-factors/webauthn', { ticket: begun.body['ticket'], name: 'UKey', credential })
    expect([enrolled.status, (enrolled.body['recoveryCodes'] as string[]).length]).toEqual([201, 10])
    expect((await ask('GET', '/api/export')).status).toBe(200)
    await ask('DELETE', '/api/sessions/current')

    const first = await ask('POST', '/api/sessions', { username, password })
    expect(first).toMatchObject({ status: 202, body: { secondFactorNeeded: ['webauthn', 'recovery'] } })
    expect((await ask('GET', '/api/export')).status).toBe(401)
    const { ticket } = first.body
    const options = await ask('POST', '/api/sessions/second-factor/webauthn-options', { ticket })
    const webauthn = await key('get', options.body)
    const second = await ask('POST', '/api/sessions/second-factor', { ticket, proof: { webauthn } })
    expect(second).toMatchObject({ status: 201, body: { user: { username: 'wang', authMethod: 'password+webauthn' } } })
    expect((await ask('GET', '/api/export')).status).toBe(200)

    // the same answer for another ticket, whose challenge is another
    const other = await ask('POST', '/api/sessions', { username, password })
    await ask('POST', '/api/sessions/second-factor/webauthn-options', { ticket: other.body['ticket'] })
    const replayed = await ask('POST', '/api/sessions/second-factor', { ticket: other.body['ticket'], proof: { webauthn } })
    expect(replayed).toMatchObject({ status: 401, body: { code: 'access/second-factor-wrong' } })
    // without having asked for a challenge at all
    const unasked = await ask('POST', '/api/sessions', { username, password })
    const blind = await ask('POST', '/api/sessions/second-factor', { ticket: unasked.body['ticket'], proof: { webauthn } })
    expect(blind).toMatchObject({ status: 401, body: { code: 'access/second-factor-wrong' } })
  })
})
