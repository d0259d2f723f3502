import { Buffer } from 'node:buffer'
import { createSecretKey, type KeyObject } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import { Problem } from 'specs'
import type { SessionKey } from './keys.ts'

type Keys = readonly [SessionKey, ...SessionKey[]]

/** Says which session its bearer holds; whether the session still lives is asked of the database. JWT (RFC 7519), HS256. */
export class SessionTokens {
  readonly #party: string
  readonly #load: () => Promise<Keys>
  #keys: ReadonlyMap<string, KeyObject> = new Map()
  #newest = ''
  #missed = 0

  /** @param load Asked again when a token names a key that another process has made since. */
  constructor(keys: Keys, party: string, load: () => Promise<Keys>) {
    this.#party = party
    this.#load = load
    this.use(keys)
  }

  use(keys: Keys): void {
    this.#keys = new Map(keys.map(({ id, secret }) => [id, createSecretKey(Buffer.from(secret, 'base64'))]))
    this.#newest = keys[0].id
  }

  /** @param expiresAt Epoch ms. */
  sign(session: { id: string; accountId: string; expiresAt: number }, now: number): Promise<string> {
    return new SignJWT()
      .setProtectedHeader({ alg: 'HS256', kid: this.#newest })
      .setJti(session.id)
      .setSubject(session.accountId)
      .setIssuer(this.#party)
      .setAudience(this.#party)
      .setIssuedAt(Math.floor(now / 1000))
      .setExpirationTime(Math.floor(session.expiresAt / 1000))
      .sign(this.#keyNamed(this.#newest))
  }

  /** @throws {Problem} access/not-signed-in for whatever is not a token of ours in its time. */
  async sessionId(token: string, now: number): Promise<string> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keyOf(kid ?? '', now), {
        algorithms: ['HS256'],
        issuer: this.#party,
        audience: this.#party,
        requiredClaims: ['jti', 'sub', 'exp'],
        currentDate: new Date(now),
      })
      return payload.jti ?? ''
    } catch (error) {
      if (error instanceof errors.JOSEError) throw new Problem('access/not-signed-in', { reason: error.code }, { cause: error })
      throw error
    }
  }

  async #keyOf(kid: string, now: number): Promise<KeyObject> {
    // Invented key ids must not make us ask the database each time.
    if (!this.#keys.has(kid) && Math.abs(now - this.#missed) > 1_000) {
      this.#missed = now
      this.use(await this.#load())
    }
    return this.#keyNamed(kid)
  }

  #keyNamed(kid: string): KeyObject {
    const key = this.#keys.get(kid)
    if (key === undefined) throw new errors.JWSInvalid('unknown key')
    return key
  }
}
