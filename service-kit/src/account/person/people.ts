import { Problem, Scope, type AuditEvent } from 'specs'
import type { Queries, Transaction } from '../../database/index.ts'
import { hasRight, type User } from '../../http/user.ts'
import { change, openPhone, type Ground } from '../ground.ts'
import { putInto } from '../group/groups.ts'
import { readOrganisation } from '../organisation/organisation.ts'
import { hashPassword } from '../password/hash.ts'
import { phoneContext } from '../password/passwords.ts'
import { initialPassword } from '../password/policy.ts'
import { mayGive } from '../role/decide.ts'
import { rolesNamed } from '../role/roles.ts'
import { assignmentsOf, assignRoles, type RoleAssignment } from '../role/store.ts'
import { deleteSessionsOf } from '../session/store.ts'
import type { SignInGuard } from '../sign-in/guard.ts'
import { changeAccount, insertAccount, listAccounts, readAccount, type AccountRow } from '../store.ts'
import type { NewPerson, PersonChange, PersonRow } from './person.ts'

export interface PersonFilter {
  readonly text?: string | undefined
  readonly role?: string | undefined
  readonly group?: string | undefined
  readonly department?: string | undefined
  readonly state?: PersonRow['state'] | undefined
  /** Only those whose requested roles wait. */
  readonly waiting?: boolean | undefined
}

/** 用户管理 (SEC-13): who has an account, in which state, with which roles. */
export class People {
  readonly #ground: Ground
  readonly #guard: SignInGuard
  readonly #tellEnds: (sessionIds: readonly string[]) => void

  constructor(ground: Ground, guard: SignInGuard, tellEnds: (sessionIds: readonly string[]) => void) {
    this.#ground = ground
    this.#guard = guard
    this.#tellEnds = tellEnds
  }

  async list(filter: PersonFilter = {}): Promise<PersonRow[]> {
    const people = (await listAccounts(this.#ground.db)).filter(({ kind }) => kind === 'person')
    const text = filter.text?.toLowerCase()
    const named = (account: AccountRow) =>
      text === undefined || [account.username, account.name, account.staffNumber ?? ''].some((field) => field.toLowerCase().includes(text))
    const meets = (row: PersonRow) =>
      (filter.role === undefined || row.roles.some(({ role }) => role === filter.role)) &&
      (filter.group === undefined || row.groups.includes(filter.group)) &&
      (filter.department === undefined || row.department === filter.department) &&
      (filter.state === undefined || row.state === filter.state) &&
      (!filter.waiting || row.requestedRoles.length > 0)
    return (await this.#rowsOf(people.filter(named))).filter(meets)
  }

  async read(id: string): Promise<PersonRow> {
    const [row] = await this.#rowsOf([await this.#person(this.#ground.db, id)])
    if (row === undefined) throw new Problem('request/not-found', { what: 'account' })
    return row
  }

  async #rowsOf(accounts: readonly AccountRow[]): Promise<PersonRow[]> {
    const { db, now, secrets } = this.#ground
    const only = accounts.length === 1 ? accounts[0]?.id : undefined
    const where = (column: string) => (only === undefined ? '' : `AND ${column} = $1`)
    const params = only === undefined ? [] : [only]
    const roles = grouped(
      await db.all<{ of: string; role: string; scope: string }>(
        `SELECT holder_id AS "of", role_id AS role, scope FROM role_assignment WHERE holder_kind = 'account' ${where('holder_id')} ORDER BY role_id, id`,
        params,
      ),
    )
    const groups = grouped(
      await db.all<{ of: string; id: string }>(`SELECT account_id AS "of", group_id AS id FROM account_group_member WHERE 1 = 1 ${where('account_id')} ORDER BY group_id`, params),
    )
    const factors = grouped(
      await db.all<{ of: string; kind: 'totp' | 'webauthn' }>(
        `SELECT DISTINCT account_id AS "of", kind FROM second_factor WHERE 1 = 1 ${where('account_id')} ORDER BY kind`,
        params,
      ),
    )
    const locked = await this.#guard.locked()
    return accounts.map((account) => {
      const { password: _, kind: _k, disabled, passwordChangedAt: _c, requestedRoles, phone, ...rest } = account
      const expired = account.validUntil !== null && account.validUntil <= now()
      return {
        ...rest,
        phone: phone === null ? null : openPhone(secrets, phone, phoneContext),
        requestedRoles: [...requestedRoles],
        state: disabled ? 'disabled' : expired ? 'expired' : locked.has(account.username) ? 'locked' : 'active',
        roles: (roles.get(account.id) ?? []).map(({ role, scope }) => ({ role, scope: Scope.parse(JSON.parse(scope)) })),
        groups: (groups.get(account.id) ?? []).map(({ id }) => id),
        secondFactors: (factors.get(account.id) ?? []).map(({ kind }) => kind),
      }
    })
  }

  /**
   * Roles that the maker may not give wait as requested ones for the security administrator.
   * @returns The initial password, shown this once.
   */
  async create(by: User, person: NewPerson): Promise<{ account: PersonRow; initialPassword: string }> {
    const prepared = await this.prepare(person)
    const id = await change(this.#ground, async (tx) => {
      const { id: made, event } = await this.insert(tx, by, prepared)
      return { result: made, events: [event] }
    })
    return { account: await this.read(id), initialPassword: prepared.initial }
  }

  /** The slow part of making an account, outside of any transaction. */
  async prepare(person: NewPerson): Promise<PreparedPerson> {
    const initial = initialPassword(this.#ground.settings.password.minLength)
    return { person, initial, password: await hashPassword(initial) }
  }

  /** @throws {Problem} request/conflict for a user name or staff number that is taken, request/not-found for a department. */
  async insert(tx: Transaction, by: User, { person, password }: PreparedPerson): Promise<{ id: string; event: AuditEvent }> {
    const { settings, secrets, now } = this.#ground
    const { roles, groups, phone, ...facts } = person
    await refuseUnknownUnits(tx, facts)
    const named = await rolesNamed(tx, roles)
    const mayGiveAll = named.every((role) => mayGive(by, role, settings.workRolesBy))
    if (groups.length > 0 && !hasRight(by, 'role.manage')) throw new Problem('access/forbidden', { allow: ['role.manage'] })
    const id = await insertAccount(
      tx,
      {
        ...facts,
        password,
        phone: phone === null ? null : secrets.seal(phone, phoneContext),
        mustChangePassword: true,
        requestedRoles: mayGiveAll ? [] : roles.map(({ role }) => role),
      },
      now(),
    )
    if (mayGiveAll) await assignRoles(tx, 'account', id, roles)
    await putInto(tx, id, groups)
    const after = { ...facts, phone: phone !== null, roles: mayGiveAll ? roles : [], requestedRoles: mayGiveAll ? [] : roles, groups }
    return { id, event: { action: 'account.create', outcome: 'success', object: { type: 'account', id }, after } }
  }

  async change(id: string, { phone, ...facts }: PersonChange): Promise<PersonRow> {
    const { secrets, now } = this.#ground
    await change(this.#ground, async (tx) => {
      const before = await this.#person(tx, id)
      await refuseUnknownUnits(tx, facts)
      const sealed = phone === undefined ? {} : { phone: phone === null ? null : secrets.seal(phone, phoneContext) }
      const given = Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
      await changeAccount(tx, id, { ...given, ...sealed }, now())
      const old = Object.fromEntries(Object.keys(given).map((field) => [field, before[field as keyof AccountRow]]))
      const event = { action: 'account.change', outcome: 'success', object: { type: 'account', id }, before: old, after: { ...given, ...(phone !== undefined && { phone: 'changed' }) } } as const
      return { result: undefined, events: [event] }
    })
    return this.read(id)
  }

  /** The account's sessions end at once. @throws {Problem} access/own-account, access/last-administrator */
  async disable(byAccountId: string | undefined, id: string, reason: string): Promise<void> {
    if (byAccountId === id) throw new Problem('access/own-account')
    const ended = await change(this.#ground, async (tx) => {
      await changeAccount(tx, id, { disabled: true, disabledReason: reason }, this.#ground.now())
      const event = { action: 'account.disable', outcome: 'success', object: { type: 'account', id }, reason } as const
      return { result: await deleteSessionsOf(tx, id), events: [event] }
    })
    this.#tellEnds(ended)
  }

  async enable(id: string): Promise<void> {
    const { now } = this.#ground
    await change(this.#ground, async (tx) => {
      // Counted as used now, or what was disabled for not being used would be so again in the next hour.
      await changeAccount(tx, id, { disabled: false, disabledReason: '', lastUsedAt: now() }, now())
      return { result: undefined, events: [{ action: 'account.enable', outcome: 'success', object: { type: 'account', id } }] }
    })
  }

  /** Ends a lock after failed sign-ins before its time. */
  async unlock(id: string): Promise<void> {
    const { username } = await this.#person(this.#ground.db, id)
    await this.#guard.unlock(username)
    await this.#ground.trail.record({ action: 'account.enable', outcome: 'success', object: { type: 'account', id }, facts: { unlocked: true } })
  }

  /**
   * Gives exactly these roles; what was requested is settled by it.
   * @throws {Problem} access/own-account, access/duties-conflict, access/last-administrator, access/forbidden
   */
  async setRoles(by: User, id: string, roles: readonly RoleAssignment[]): Promise<PersonRow> {
    await this.#person(this.#ground.db, id)
    await this.giveRoles(by, id, roles)
    return this.read(id)
  }

  /** To a person or a program. */
  async giveRoles(by: User, id: string, roles: readonly RoleAssignment[]): Promise<void> {
    if (by.id === id) throw new Problem('access/own-account')
    const { settings, now } = this.#ground
    await change(this.#ground, async (tx) => {
      const before = await assignmentsOf(tx, 'account', id)
      const touched = [...(await rolesNamed(tx, roles)), ...(await rolesNamed(tx, before))]
      const forbidden = touched.find((role) => !mayGive(by, role, settings.workRolesBy))
      if (forbidden !== undefined) throw new Problem('access/forbidden', { role: forbidden.id })
      await assignRoles(tx, 'account', id, roles)
      await changeAccount(tx, id, { requestedRoles: [] }, now())
      return { result: undefined, events: [{ action: 'account.roles', outcome: 'success', object: { type: 'account', id }, before, after: roles }] }
    })
  }

  /** Accounts that nobody has used for too long are disabled, but never the last administrator of a duty. */
  async disableUnused(): Promise<void> {
    const { unusedDays } = this.#ground.settings
    if (unusedDays === 0) return
    const before = this.#ground.now() - unusedDays * 86_400_000
    const unused = (await listAccounts(this.#ground.db)).filter(
      ({ kind, disabled, lastUsedAt, createdAt, passwordChangedAt }) => kind === 'person' && !disabled && Math.max(lastUsedAt ?? 0, createdAt, passwordChangedAt) < before,
    )
    for (const { id } of unused) {
      await this.disable(undefined, id, `连续 ${unusedDays} 天未使用`).catch((error: unknown) => {
        if (!(error instanceof Problem && error.code === 'access/last-administrator')) throw error
      })
    }
  }

  async #person(db: Queries, id: string): Promise<AccountRow> {
    const account = await readAccount(db, id)
    if (account.kind !== 'person') throw new Problem('request/not-found', { what: 'account' })
    return account
  }
}

export interface PreparedPerson {
  readonly person: NewPerson
  readonly initial: string
  readonly password: string
}

async function refuseUnknownUnits(db: Queries, { department, campus }: { department?: string | null | undefined; campus?: string | null | undefined }): Promise<void> {
  const { departments, campuses } = await readOrganisation(db)
  if (department != null && !departments.some(({ id }) => id === department)) throw new Problem('request/not-found', { what: 'department', id: department })
  if (campus != null && !campuses.some(({ id }) => id === campus)) throw new Problem('request/not-found', { what: 'campus', id: campus })
}

function grouped<T extends { of: string }>(rows: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const group = groups.get(row.of) ?? []
    groups.set(row.of, group)
    group.push(row)
  }
  return groups
}
