import { Buffer } from 'node:buffer'
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import { Problem } from 'specs'
import type { KeyRow } from './store.ts'

export const newKey = (id: string): KeyRow => ({ id, secret: randomBytes(32).toString('base64') })

/** Says which session its bearer holds; whether the session still lives is asked of the database. JWT (RFC 7519), HS256. */
export class SessionTokens {
  readonly #keys: ReadonlyMap<string, KeyObject>
  readonly #newest: string
  readonly #party: string

  constructor(keys: readonly [KeyRow, ...KeyRow[]], party: string) {
    this.#keys = new Map(keys.map(({ id, secret }) => [id, createSecretKey(Buffer.from(secret, 'base64'))]))
    this.#newest = keys[0].id
    this.#party = party
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
      .sign(this.#keyOf(this.#newest))
  }

  /** @throws {Problem} access/not-signed-in for whatever is not a token of ours in its time. */
  async sessionId(token: string, now: number): Promise<string> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keyOf(kid ?? ''), {
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

  #keyOf(kid: string): KeyObject {
    const key = this.#keys.get(kid)
    if (key === undefined) throw new errors.JWSInvalid('unknown key')
    return key
  }
}
