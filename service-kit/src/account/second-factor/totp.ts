import { Secret, TOTP } from 'otpauth'
import { toDataURL } from 'qrcode'
import { Problem } from 'specs'
import { closeChallenge, openChallenge, readChallenge } from '../challenge.ts'
import type { Ground } from '../ground.ts'

const PERIOD_S = 30
/** Clocks of telephones differ: one step before and after. */
const WINDOW = 1

/** One-time codes from an app on the telephone (RFC 6238: SHA-1, six digits, 30 s; what every app understands). */
export class Totp {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** @returns What the app scans, as a picture and as text, and the ticket with which the first code is shown. */
  async begin(account: { id: string; username: string }): Promise<{ ticket: string; uri: string; secret: string; qr: string }> {
    const { db, now, party, secrets } = this.#ground
    const secret = new Secret({ size: 20 })
    const uri = totpOf(secret.base32, `Lianpian ${party}`, account.username).toString()
    const data = { secret: secrets.seal(secret.base32, contextOf(account.id)) }
    const ticket = await openChallenge(db, { purpose: 'totp-enrolment', accountId: account.id, data }, now(), 15 * 60_000)
    return { ticket, uri, secret: secret.base32, qr: await toDataURL(uri, { errorCorrectionLevel: 'M', margin: 2, scale: 6 }) }
  }

  /** The first code proves that the app has the secret. @throws {Problem} access/second-factor-wrong, access/ticket-ended */
  async finish(accountId: string, ticket: string, code: string): Promise<{ data: string; usedStep: number }> {
    const { db, now, secrets } = this.#ground
    const challenge = await readChallenge<{ secret: string }>(db, 'totp-enrolment', ticket, now())
    if (challenge.accountId !== accountId) throw new Problem('access/ticket-ended')
    const secret = secrets.open(challenge.data.secret, contextOf(accountId))
    const usedStep = stepOf(secret, code, now())
    if (usedStep === undefined) throw new Problem('access/second-factor-wrong')
    await closeChallenge(db, ticket)
    return { data: secret, usedStep }
  }

  /** A code works once: whoever looked over the shoulder comes too late. @throws {Problem} access/second-factor-wrong */
  async use(accountId: string, code: string): Promise<void> {
    const { db, now, secrets } = this.#ground
    const factors = await db.all<{ id: string; data: string }>(`SELECT id, data FROM second_factor WHERE account_id = $1 AND kind = 'totp'`, [accountId])
    for (const { id, data } of factors) {
      const step = stepOf(secrets.open(data, `second-factor/${accountId}`), code, now())
      if (step === undefined) continue
      const fresh = await db.run('UPDATE second_factor SET used_step = $1, last_used_at = $2 WHERE id = $3 AND used_step < $1', [step, now(), id])
      if (fresh === 1) return
    }
    throw new Problem('access/second-factor-wrong')
  }
}

const contextOf = (accountId: string) => `totp-enrolment/${accountId}`
const totpOf = (base32: string, issuer = '', label = 'OTPAuth') => new TOTP({ secret: base32, period: PERIOD_S, digits: 6, algorithm: 'SHA1', issuer, label })

/** Which time step the code belongs to, if it is right. */
function stepOf(base32: string, code: string, now: number): number | undefined {
  const delta = totpOf(base32).validate({ token: code.replaceAll(/\s/g, ''), timestamp: now, window: WINDOW })
  return delta === null ? undefined : TOTP.counter({ period: PERIOD_S, timestamp: now }) + delta
}
