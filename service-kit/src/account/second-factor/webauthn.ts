import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { z } from 'zod'
import { closeChallenge, openChallenge, readChallenge } from '../challenge.ts'
import type { Ground } from '../ground.ts'

/** How the browser reached us: host name without port, and scheme, host and port of the page. */
export interface WebAuthnAddress {
  readonly host: string
  readonly origin: string
}

/** Read when somebody shows a key; at every start it would cost a quarter of a second. */
const library = () => import('@simplewebauthn/server')

const base64url = z.string().regex(/^[\w-]{1,20000}$/)
/** PublicKeyCredential.toJSON() of an assertion (W3C WebAuthn 3, 5.1). */
export const WebAuthnAnswer = z.object({
  id: base64url,
  rawId: base64url,
  type: z.literal('public-key'),
  response: z.object({ clientDataJSON: base64url, authenticatorData: base64url, signature: base64url, userHandle: base64url.nullish() }),
  authenticatorAttachment: z.string().max(32).nullish(),
  clientExtensionResults: z.record(z.string(), z.unknown()).default({}),
})
export type WebAuthnAnswer = z.output<typeof WebAuthnAnswer>

/** PublicKeyCredential.toJSON() of a new credential. */
export const WebAuthnCreation = z.object({
  id: base64url,
  rawId: base64url,
  type: z.literal('public-key'),
  response: z.looseObject({ clientDataJSON: base64url, attestationObject: base64url, transports: z.array(z.string().max(32)).max(10).optional() }),
  authenticatorAttachment: z.string().max(32).nullish(),
  clientExtensionResults: z.record(z.string(), z.unknown()).default({}),
})
export type WebAuthnCreation = z.output<typeof WebAuthnCreation>

interface Credential {
  readonly id: string
  /** COSE key, base64url. */
  readonly publicKey: string
  readonly transports: readonly string[]
}

/** Security keys and platform authenticators (W3C WebAuthn), as a second factor: presence is asked, a PIN is welcome. */
export class WebAuthn {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  #partyOf({ host, origin }: WebAuthnAddress): { rpID: string; origins: string[] } {
    const { rpId, origins } = this.#ground.settings.webauthn
    return { rpID: rpId ?? host, origins: origins ?? [origin] }
  }

  async begin(account: { id: string; username: string; name: string }, address: WebAuthnAddress): Promise<{ ticket: string; options: unknown }> {
    const { db, now, party } = this.#ground
    const held = await this.#credentialsOf(account.id)
    const { generateRegistrationOptions } = await library()
    const options = await generateRegistrationOptions({
      rpName: `Lianpian ${party}`,
      rpID: this.#partyOf(address).rpID,
      userID: new Uint8Array(Buffer.from(account.id)),
      userName: account.username,
      userDisplayName: account.name,
      attestationType: 'none',
      excludeCredentials: held.map(({ credential }) => ({ id: credential.id })),
      authenticatorSelection: { userVerification: 'preferred', residentKey: 'discouraged' },
    })
    const ticket = await openChallenge(db, { purpose: 'webauthn-enrolment', accountId: account.id, data: options.challenge }, now())
    return { ticket, options }
  }

  /** @throws {Problem} access/second-factor-wrong, access/ticket-ended */
  async finish(accountId: string, ticket: string, created: WebAuthnCreation, address: WebAuthnAddress): Promise<{ data: string; usedStep: number }> {
    const { db, now } = this.#ground
    const challenge = await readChallenge<string>(db, 'webauthn-enrolment', ticket, now())
    if (challenge.accountId !== accountId) throw new Problem('access/ticket-ended')
    const { rpID, origins } = this.#partyOf(address)
    const { verifyRegistrationResponse } = await library()
    const { registrationInfo } = await verified(() =>
      verifyRegistrationResponse({
        response: created as unknown as RegistrationResponseJSON,
        expectedChallenge: challenge.data,
        expectedOrigin: origins,
        expectedRPID: rpID,
        requireUserVerification: false,
      }),
    )
    if (registrationInfo === undefined) throw new Problem('access/second-factor-wrong')
    await closeChallenge(db, ticket)
    const { id, publicKey, counter } = registrationInfo.credential
    const credential: Credential = { id, publicKey: Buffer.from(publicKey).toString('base64url'), transports: created.response.transports ?? [] }
    return { data: JSON.stringify(credential), usedStep: counter }
  }

  async requestOptions(accountId: string, address: WebAuthnAddress): Promise<{ options: unknown; challenge: string }> {
    const held = await this.#credentialsOf(accountId)
    if (held.length === 0) throw new Problem('request/not-found', { what: 'security key' })
    const { generateAuthenticationOptions } = await library()
    const options = await generateAuthenticationOptions({
      rpID: this.#partyOf(address).rpID,
      allowCredentials: held.map(({ credential: { id, transports } }) => ({ id, transports: [...transports] })),
      userVerification: 'preferred',
    })
    return { options, challenge: options.challenge }
  }

  /** @throws {Problem} access/second-factor-wrong: also for a counter that went backwards, the sign of a copied key. */
  async use(accountId: string, answer: WebAuthnAnswer, address: WebAuthnAddress & { challenge: string | undefined }): Promise<void> {
    const { db, now } = this.#ground
    const found = (await this.#credentialsOf(accountId)).find(({ credential }) => credential.id === answer.id)
    const { challenge } = address
    if (found === undefined || challenge === undefined) throw new Problem('access/second-factor-wrong')
    const { rpID, origins } = this.#partyOf(address)
    const { credential, usedStep } = found
    const { verifyAuthenticationResponse } = await library()
    const result = await verified(() =>
      verifyAuthenticationResponse({
        response: answer as unknown as AuthenticationResponseJSON,
        expectedChallenge: challenge,
        expectedOrigin: origins,
        expectedRPID: rpID,
        credential: { id: credential.id, publicKey: new Uint8Array(Buffer.from(credential.publicKey, 'base64url')), counter: usedStep },
        requireUserVerification: false,
      }),
    )
    if (!result.verified) throw new Problem('access/second-factor-wrong')
    await db.run('UPDATE second_factor SET used_step = $1, last_used_at = $2 WHERE id = $3', [result.authenticationInfo.newCounter, now(), found.id])
  }

  async #credentialsOf(accountId: string): Promise<{ id: string; usedStep: number; credential: Credential }[]> {
    const rows = await this.#ground.db.all<{ id: string; data: string; usedStep: number }>(
      `SELECT id, data, used_step AS "usedStep" FROM second_factor WHERE account_id = $1 AND kind = 'webauthn'`,
      [accountId],
    )
    return rows.map(({ id, data, usedStep }) => ({
      id,
      usedStep,
      credential: JSON.parse(this.#ground.secrets.open(data, `second-factor/${accountId}`)) as Credential,
    }))
  }
}

/** The library says by an Error what does not fit; to the outside it is one answer. */
async function verified<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify()
  } catch (cause) {
    throw new Problem('access/second-factor-wrong', {}, { cause })
  }
}
