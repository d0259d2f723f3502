import { Problem } from 'specs'
import { hasRight, type User } from '../../http/user.ts'
import { change, type Ground } from '../ground.ts'
import { readOrganisation } from '../organisation/organisation.ts'
import { listRoles } from '../role/store.ts'
import { accountByStaffNumber, accountByUsername } from '../store.ts'
import type { People, PreparedPerson } from './people.ts'
import { readTable, type TableRow } from './table.ts'

export interface HandedOut {
  readonly username: string
  readonly name: string
  /** Shown this once. */
  readonly initialPassword: string
}

/** Accounts from a table of staff: looked at first, then made all together or not at all. */
export class StaffImport {
  readonly #ground: Ground
  readonly #people: People

  constructor(ground: Ground, people: People) {
    this.#ground = ground
    this.#people = people
  }

  /** What would happen: each row read, or with what is wrong in which column. */
  async preview(by: User, file: Uint8Array): Promise<TableRow[]> {
    const { db } = this.#ground
    const groups = await db.all<{ id: string; name: string }>('SELECT id, name FROM account_group')
    const rows = readTable(file, { ...(await readOrganisation(db)), roles: await listRoles(db), groups })
    return Promise.all(rows.map((row) => this.#refuseKnown(by, row)))
  }

  async #refuseKnown(by: User, row: TableRow): Promise<TableRow> {
    // Also of a row that is wrong in another column: whoever mends the table wants to hear it all at once.
    const { username = '', staffNumber = '', groups = '' } = row.cells
    const errors = [...row.errors]
    if (username !== '' && (await accountByUsername(this.#ground.db, username))) errors.push({ column: '用户名', message: '已有此账号' })
    if (staffNumber !== '' && (await accountByStaffNumber(this.#ground.db, staffNumber))) errors.push({ column: '工号', message: '已被其他账号使用' })
    if (groups !== '' && !hasRight(by, 'role.manage')) errors.push({ column: '用户组', message: '用户组由安全管理员分配' })
    if (errors.length === row.errors.length) return row
    const { person: _, ...rest } = row
    return { ...rest, errors }
  }

  /** @throws {Problem} access/import-invalid while a row has an error; then nothing is made. */
  async commit(by: User, file: Uint8Array): Promise<HandedOut[]> {
    const rows = await this.preview(by, file)
    const wrong = rows.filter(({ person }) => person === undefined)
    if (wrong.length > 0 || rows.length === 0) throw new Problem('access/import-invalid', { rows: rows.length, wrong: wrong.map(({ line }) => line).slice(0, 100) })
    const prepared: PreparedPerson[] = []
    for (const { person } of rows) if (person) prepared.push(await this.#people.prepare(person))
    await change(this.#ground, async (tx) => {
      const events = []
      for (const each of prepared) events.push((await this.#people.insert(tx, by, each)).event)
      const told = { action: 'account.import', outcome: 'success', facts: { accounts: prepared.length } } as const
      return { result: undefined, events: [told, ...events] }
    })
    return prepared.map(({ person, initial }) => ({ username: person.username, name: person.name, initialPassword: initial }))
  }
}
