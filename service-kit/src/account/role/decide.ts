import { describeRight, dutiesOf, Problem, type Right } from 'specs'
import { hasRight, type User } from '../../http/user.ts'
import type { IdentitySettings } from '../config.ts'
import type { Role } from './store.ts'

/** A role may hold rights of one administrative duty at most. @throws {Problem} access/duties-conflict */
export function refuseMixedDuties(rights: readonly Right[]): void {
  const duties = dutiesOf(rights)
  if (duties.length > 1) throw new Problem('access/duties-conflict', { duties })
}

/**
 * Whether somebody may give a role: the security administrator any; the system administrator, where the hospital wishes it, those
 * without administrative rights.
 */
export function mayGive(user: Pick<User, 'entitlements'>, role: Pick<Role, 'rights'>, workRolesBy: IdentitySettings['workRolesBy']): boolean {
  if (hasRight(user, 'role.manage')) return true
  return workRolesBy === 'system' && hasRight(user, 'account.manage') && role.rights.every((right) => describeRight(right).duty === 'work')
}
