import { dutiesOf, Problem, type Duty, type Right } from 'specs'
import type { Queries } from '../../database/index.ts'
import { entitlementsOf } from './store.ts'

type Administrative = Exclude<Duty, 'work'>

/** Who could do the work of each administrative duty at this moment, and who holds more than one. */
export interface DutyStanding {
  readonly administrators: Readonly<Record<Administrative, readonly string[]>>
  readonly conflicts: readonly { readonly accountId: string; readonly duties: readonly Administrative[] }[]
}

/** Without these somebody of the duty could still look, but nobody could put things right again. */
const essential = { system: 'account.manage', security: 'role.manage', audit: 'audit.read' } as const satisfies Record<Administrative, Right>

export interface HeldRights {
  readonly accountId: string
  /** Could sign in now. */
  readonly active: boolean
  readonly rights: readonly Right[]
}

export function decideStanding(accounts: readonly HeldRights[]): DutyStanding {
  const able = (right: Right) => accounts.filter(({ active, rights }) => active && rights.includes(right)).map(({ accountId }) => accountId)
  return {
    administrators: { system: able(essential.system), security: able(essential.security), audit: able(essential.audit) },
    conflicts: accounts
      .map(({ accountId, rights }) => ({ accountId, duties: dutiesOf(rights) }))
      .filter(({ duties }) => duties.length > 1),
  }
}

/**
 * 三员分立 (GB/T 22239-2019 8.1.4.2 d): a change may neither join two duties in one account nor leave a duty with nobody.
 * A conflict that was there before is not the fault of this change.
 *
 * @throws {Problem} access/duties-conflict, access/last-administrator
 */
export function guardDuties(before: DutyStanding, after: DutyStanding): void {
  const known = new Set(before.conflicts.map(({ accountId }) => accountId))
  const conflict = after.conflicts.find(({ accountId }) => !known.has(accountId))
  if (conflict !== undefined) throw new Problem('access/duties-conflict', { ...conflict })
  for (const duty of Object.keys(essential) as Administrative[]) {
    if (before.administrators[duty].length > 0 && after.administrators[duty].length === 0) throw new Problem('access/last-administrator', { duty })
  }
}

export async function standingOfDuties(db: Queries, now: number): Promise<DutyStanding> {
  const held = await entitlementsOf(db)
  const accounts = await db.all<{ id: string; usable: number }>(
    `SELECT id, CASE WHEN disabled = 0 AND kind = 'person' AND (valid_until IS NULL OR valid_until > $1) THEN 1 ELSE 0 END AS usable FROM account`,
    [now],
  )
  return decideStanding(
    accounts.map(({ id, usable }) => ({ accountId: id, active: usable === 1, rights: (held.get(id) ?? []).flatMap(({ rights }) => rights) })),
  )
}
