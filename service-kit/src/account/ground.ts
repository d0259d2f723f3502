import { Problem, type AuditEvent } from 'specs'
import type { AuditTrail } from '../audit/index.ts'
import type { Database, Queries, Transaction } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import type { Outbound } from '../outbound/index.ts'
import { isSealed } from '../vault/vault.ts'
import type { IdentitySettings } from './config.ts'
import { guardDuties, standingOfDuties } from './role/duties.ts'

/** Keeps secrets of accounts unreadable at rest; `context` binds a sealed value to where it belongs. */
export interface Secrets {
  seal(text: string, context: string): string
  open(sealed: string, context: string): string
}

export const CLEAR = 'clear:'

/**
 * With a vault only what it has sealed is believed: a value in clear may have been put there by somebody who can write the database and
 * has no key, and a key of sessions or a second factor is worth an account. Without one (a service that keeps no patients) values stand in clear.
 */
export function secretsOf(vault: Secrets | undefined): Secrets {
  return {
    seal: (text, context) => (vault === undefined ? `${CLEAR}${text}` : vault.seal(text, context)),
    open: (sealed, context) => {
      if (vault !== undefined && !isSealed(sealed)) throw new Problem('vault/unreadable', { context, reason: 'not sealed' })
      if (vault !== undefined) return vault.open(sealed, context)
      if (!sealed.startsWith(CLEAR)) throw new Problem('vault/unreadable', { context, reason: 'no vault' })
      return sealed.slice(CLEAR.length)
    },
  }
}

/** Telephone numbers of before there was a vault stay readable: they open nothing, and re-sealing takes them along. */
export function openPhone(secrets: Secrets, phone: string, context: string): string {
  return phone.startsWith(CLEAR) ? phone.slice(CLEAR.length) : secrets.open(phone, context)
}

/** What every part of identity stands on. */
export interface Ground {
  readonly db: Database
  readonly log: Log
  readonly now: () => number
  readonly settings: IdentitySettings
  /** Whose staff: `hub` or a hospital. */
  readonly party: string
  readonly trail: Pick<AuditTrail, 'record' | 'within'>
  readonly secrets: Secrets
  /** The gate to the hospital's own sign-in. */
  readonly outbound: Outbound
  /** Tells that what sessions stand on has changed; called after the commit. */
  readonly changed: () => void
}

/** Every process compares this number before it trusts what it remembers of a session (SEC-01). */
export async function revisionOf(db: Queries): Promise<number> {
  return (await db.get<{ revision: number }>('SELECT revision FROM account_revision'))?.revision ?? 0
}

/**
 * A change of who may do what: checked against the separation of duties, counted so that every session sees it at its next
 * request, and in the audit trail together with the change or not at all.
 *
 * @param work Returns its result and what the trail is told.
 * @throws {Problem} access/duties-conflict, access/last-administrator; then nothing has changed.
 */
export async function change<T>(ground: Ground, work: (tx: Transaction) => Promise<{ result: T; events: readonly AuditEvent[] }>): Promise<T> {
  const { db, trail, now } = ground
  return db.write(async (tx) => {
    const before = await standingOfDuties(tx, now())
    const { result, events } = await work(tx)
    guardDuties(before, await standingOfDuties(tx, now()))
    await bump(tx)
    tx.afterCommit(ground.changed)
    for (const event of events) await trail.within(tx, event)
    return result
  })
}

/** Makes every process look anew at what it remembers of sessions; enough for changes that touch nobody's duties. */
export async function bump(tx: Transaction): Promise<void> {
  await tx.run('UPDATE account_revision SET revision = revision + 1')
}
