import * as client from 'openid-client'
import { randomBytes } from 'node:crypto'
import { dutiesOf, Problem } from 'specs'
import { closeChallenge, openChallenge, readChallenge } from '../challenge.ts'
import type { OidcProviderConfig } from '../config.ts'
import { outboundFetch } from '../../outbound/index.ts'
import { change, type Ground } from '../ground.ts'
import { rolesNamed } from '../role/roles.ts'
import { assignRoles, entitlementsOf } from '../role/store.ts'
import type { Origin, Session, Sessions } from '../session/sessions.ts'
import { findSession } from '../session/store.ts'
import { accountByStaffNumber, accountByUsername, insertAccount, isUsable, readAccount, type AccountRow } from '../store.ts'

/** A visit to the hospital's sign-in that has begun in one browser. */
interface Visit {
  readonly provider: string
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  readonly returnTo: string
  /** The session that the browser held when it set out. */
  readonly instead?: string
}

const VISIT_MS = 10 * 60_000
const DISCOVERY_MS = 10 * 60_000

/** Sign-in at the hospital's own identity provider (OpenID Connect Core 1.0: authorization code, PKCE S256, state, nonce). */
export class OidcSignIn {
  readonly #ground: Ground
  readonly #sessions: Sessions
  readonly #discovered = new Map<string, { at: number; configuration: client.Configuration }>()

  constructor(ground: Ground, sessions: Sessions) {
    this.#ground = ground
    this.#sessions = sessions
  }

  get providers(): readonly OidcProviderConfig[] {
    return this.#ground.settings.oidc
  }

  /**
   * @param returnTo Path of ours to show afterwards.
   * @param instead The browser's former session, which ends with the new one; the provider's answer comes without our strict cookie.
   * @returns Where to send the browser, and the secret that it must bring back as a cookie: a callback in another browser is worthless.
   */
  async begin(providerId: string, redirectUri: string, returnTo: string, instead?: string): Promise<{ address: string; visit: string; validMs: number }> {
    const provider = this.#provider(providerId)
    const configuration = await this.#discover(provider)
    const [state, nonce, codeVerifier] = [client.randomState(), client.randomNonce(), client.randomPKCECodeVerifier()]
    const visit: Visit = { provider: provider.id, state, nonce, codeVerifier, returnTo: ownPath(returnTo), ...(instead !== undefined && { instead }) }
    const secret = await openChallenge(
      this.#ground.db,
      { purpose: 'oidc', accountId: null, data: visit, secret: randomBytes(32).toString('base64url') },
      this.#ground.now(),
      VISIT_MS,
    )
    const address = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: provider.scope,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    })
    return { address: address.href, visit: secret, validMs: VISIT_MS }
  }

  /** Where the visit began, as long as it is known; a refusal is told there. */
  async destinationOf(visitSecret: string): Promise<string> {
    const visit = await readChallenge<Visit>(this.#ground.db, 'oidc', visitSecret, this.#ground.now()).catch(() => undefined)
    return visit?.data.returnTo ?? '/'
  }

  /**
   * @param callback The whole address that the provider sent the browser to.
   * @throws {Problem} access/oidc-failed, access/no-account, access/wrong-credentials for an account that may not be used.
   */
  async finish(providerId: string, callback: URL, visitSecret: string, origin: Origin): Promise<{ session: Session; returnTo: string }> {
    const { db, now } = this.#ground
    const provider = this.#provider(providerId)
    const { data: visit } = await readChallenge<Visit>(db, 'oidc', visitSecret, now())
    if (visit.provider !== provider.id) throw new Problem('access/oidc-failed', { reason: 'provider' })
    await closeChallenge(db, visitSecret)
    const claims = await this.#claims(provider, callback, visit)
    const account = await this.#accountOf(provider, claims, visit.instead)
    if (!isUsable(account, now())) throw new Problem('access/wrong-credentials')
    const shown = [claims['acr'], claims['amr']].flat().filter((value): value is string => typeof value === 'string')
    const strong = shown.some((value) => provider.strongWhen.includes(value))
    const session = await this.#sessions.begin(account, { authMethod: 'oidc', strong, origin, instead: visit.instead })
    return { session, returnTo: visit.returnTo }
  }

  async #claims(provider: OidcProviderConfig, callback: URL, visit: Visit): Promise<Record<string, unknown>> {
    try {
      const tokens = await client.authorizationCodeGrant(await this.#discover(provider), callback, {
        expectedState: visit.state,
        expectedNonce: visit.nonce,
        pkceCodeVerifier: visit.codeVerifier,
        idTokenExpected: true,
      })
      const claims: Record<string, unknown> = { ...tokens.claims() }
      if (claims[provider.claim] !== undefined) return claims
      // Many providers keep names out of the ID token.
      const subject = String(claims['sub'])
      return { ...(await client.fetchUserInfo(await this.#discover(provider), tokens.access_token, subject)), ...claims }
    } catch (cause) {
      this.#ground.log.warn({ err: cause, provider: provider.id }, "the hospital's sign-in did not succeed")
      throw new Problem('access/oidc-failed', { provider: provider.id }, { cause })
    }
  }

  /**
   * The account that was bound to the subject at its first visit; at that visit, the one that the claim names.
   * @param from The session in which the visit began.
   */
  async #accountOf(provider: OidcProviderConfig, claims: Record<string, unknown>, from: string | undefined): Promise<AccountRow> {
    const { db, now } = this.#ground
    const subject = String(claims['sub'])
    const bound = await db.get<{ accountId: string }>('SELECT account_id AS "accountId" FROM account_oidc WHERE provider = $1 AND subject = $2', [provider.id, subject])
    if (bound !== undefined) return readAccount(db, bound.accountId)
    const value = claims[provider.claim]
    if (typeof value !== 'string' || value.trim() === '') throw new Problem('access/no-account', { missingClaim: provider.claim })
    const found = provider.matches === 'staffNumber' ? await accountByStaffNumber(db, value) : await accountByUsername(db, value)
    if (found?.kind === 'service') throw new Problem('access/no-account')
    // Names can be changed at the provider; whoever was here first under this account stays its owner.
    const owner = found && (await db.get('SELECT subject FROM account_oidc WHERE provider = $1 AND account_id = $2', [provider.id, found.id]))
    if (owner !== undefined) throw new Problem('access/no-account', { reason: 'bound to another subject' })
    // Whoever may rename people at the provider would be an administrator here by a first visit; so an administrator begins it signed in.
    if (found && (await this.#isAdministrator(found.id)) && !(await this.#isSignedInHere(found.id, from)))
      throw new Problem('access/no-account', { reason: 'administrators are not bound by a name' })
    if (found === undefined && provider.createWithRole === undefined) throw new Problem('access/no-account')
    const id = await change(this.#ground, async (tx) => {
      const id = found?.id ?? (await this.#create(tx, provider, value, claims))
      await tx.run('INSERT INTO account_oidc (provider, subject, account_id, created_at) VALUES ($1, $2, $3, $4)', [provider.id, subject, id, now()])
      const action = found === undefined ? 'account.create' : 'account.change'
      const actor = { kind: 'system', id: `oidc/${provider.id}` } as const
      return { result: id, events: [{ action, outcome: 'success', actor, object: { type: 'account', id }, facts: { boundTo: provider.id } }] }
    })
    return readAccount(db, id)
  }

  async #create(tx: Parameters<typeof insertAccount>[0], provider: OidcProviderConfig, value: string, claims: Record<string, unknown>): Promise<string> {
    const name = typeof claims['name'] === 'string' && claims['name'] !== '' ? claims['name'].slice(0, 60) : value.slice(0, 60)
    const id = await insertAccount(
      tx,
      { username: value.slice(0, 64), name, password: '', staffNumber: provider.matches === 'staffNumber' ? value : null },
      this.#ground.now(),
    )
    const assignment = { role: provider.createWithRole ?? '', scope: {} }
    const [role] = await rolesNamed(tx, [assignment])
    // Administrators are made by administrators.
    if (role === undefined || dutiesOf(role.rights).length > 0) throw new Problem('access/duties-conflict', { role: assignment.role })
    await assignRoles(tx, 'account', id, [assignment])
    return id
  }

  async #isAdministrator(accountId: string): Promise<boolean> {
    const held = (await entitlementsOf(this.#ground.db, accountId)).get(accountId) ?? []
    return dutiesOf(held.flatMap(({ rights }) => rights)).length > 0
  }

  async #isSignedInHere(accountId: string, sessionId: string | undefined): Promise<boolean> {
    const found = sessionId === undefined ? undefined : await findSession(this.#ground.db, sessionId, this.#ground.now())
    return found?.account.id === accountId && found.session.authMethod !== 'oidc'
  }

  #provider(id: string): OidcProviderConfig {
    const provider = this.providers.find((each) => each.id === id)
    if (provider === undefined) throw new Problem('request/not-found', { what: 'identity provider' })
    return provider
  }

  /** @throws {Problem} service/unavailable when the provider cannot be reached; passwords go on working. */
  async #discover(provider: OidcProviderConfig): Promise<client.Configuration> {
    const known = this.#discovered.get(provider.id)
    if (known !== undefined && this.#ground.now() - known.at < DISCOVERY_MS) return known.configuration
    try {
      const configuration = await client.discovery(new URL(provider.issuer), provider.clientId, provider.clientSecret, undefined, {
        timeout: 10,
        [client.customFetch]: (url, { method, headers, body, signal }) => outboundFetch(this.#ground.outbound, url, { method, headers, body: bodyOf(body), signal }, { purpose: 'oidc' }),
        // The library leaves the signature of an ID token to TLS unless it is told to look.
        execute: [client.enableNonRepudiationChecks, ...(provider.insecure ? [client.allowInsecureRequests] : [])],
      })
      this.#discovered.set(provider.id, { at: this.#ground.now(), configuration })
      return configuration
    } catch (cause) {
      throw new Problem('service/unavailable', { what: provider.name }, { cause })
    }
  }
}

/** What the client sends: forms and nothing. */
function bodyOf(body: client.FetchBody): string | URLSearchParams | Uint8Array | null {
  if (body === undefined || body === null || typeof body === 'string' || body instanceof URLSearchParams || body instanceof Uint8Array) return body ?? null
  throw new TypeError('a body of this kind is not sent')
}

/** A path of ours only: nobody sends our staff elsewhere by a link to our sign-in. */
function ownPath(path: string): string {
  return /^\/(?![/\\])[\x21-\x7e]*$/.test(path) ? path : '/'
}
