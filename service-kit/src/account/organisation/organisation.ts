import { Problem } from 'specs'
import type { Queries } from '../../database/index.ts'
import { bump, type Ground } from '../ground.ts'

/** A part of the hospital; its identifier is what exams, accounts and scopes name it by. */
export interface Unit {
  readonly id: string
  readonly name: string
  /** Order in lists. */
  readonly position: number
}
/** A department or an area (区域标识, for example 总院超声) of a campus, or of the whole hospital. */
export interface UnitOfCampus extends Unit {
  readonly campus: string | null
}
export interface OrganisationParts {
  readonly campuses: readonly Unit[]
  readonly departments: readonly UnitOfCampus[]
  readonly areas: readonly UnitOfCampus[]
}
export type UnitKind = keyof OrganisationParts

const tables = { campuses: 'campus', departments: 'department', areas: 'area' } as const satisfies Record<UnitKind, string>

/** 院区, 科室 and 区域标识 of the hospital (REG-21, ULS-18). */
export class Organisation {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  read(): Promise<OrganisationParts> {
    return readOrganisation(this.#ground.db)
  }

  /** Adds or changes. @throws {Problem} request/not-found for a campus that is not there. */
  async save(kind: UnitKind, unit: UnitOfCampus): Promise<void> {
    const { db, trail } = this.#ground
    const { id, name, campus, position } = unit
    await db.write(async (tx) => {
      const before = await find(tx, kind, id)
      if (campus !== null && (kind === 'campuses' || (await find(tx, 'campuses', campus)) === undefined)) throw new Problem('request/not-found', { what: 'campus', id: campus })
      if (kind === 'campuses') {
        await tx.run('INSERT INTO campus (id, name, position) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET name = excluded.name, position = excluded.position', [id, name, position])
      } else {
        await tx.run(
          `INSERT INTO ${tables[kind]} (id, name, campus_id, position) VALUES ($1, $2, $3, $4)
           ON CONFLICT (id) DO UPDATE SET name = excluded.name, campus_id = excluded.campus_id, position = excluded.position`,
          [id, name, campus, position],
        )
      }
      await bump(tx)
      await trail.within(tx, { action: 'organisation.change', outcome: 'success', object: { type: 'organisation', id: `${kind}/${id}` }, before, after: unit })
    })
  }

  /** @throws {Problem} request/not-found, access/organisation-in-use: accounts, scopes or units name it. */
  async remove(kind: UnitKind, id: string): Promise<void> {
    const { db, trail } = this.#ground
    await db.write(async (tx) => {
      const before = await find(tx, kind, id)
      if (before === undefined) throw new Problem('request/not-found', { what: tables[kind], id })
      if (await isUsed(tx, kind, id)) throw new Problem('access/organisation-in-use', { id })
      await tx.run(`DELETE FROM ${tables[kind]} WHERE id = $1`, [id])
      await bump(tx)
      await trail.within(tx, { action: 'organisation.change', outcome: 'success', object: { type: 'organisation', id: `${kind}/${id}` }, before })
    })
  }
}

async function find(db: Queries, kind: UnitKind, id: string): Promise<unknown> {
  return db.get(`SELECT * FROM ${tables[kind]} WHERE id = $1`, [id])
}

export async function readOrganisation(db: Queries): Promise<OrganisationParts> {
  const units = <T>(table: string, campus: string) => db.all<T>(`SELECT id, name, position${campus} FROM ${table} ORDER BY position, id`)
  const ofCampus = ', campus_id AS campus'
  return {
    campuses: await units<Unit>('campus', ''),
    departments: await units<UnitOfCampus>('department', ofCampus),
    areas: await units<UnitOfCampus>('area', ofCampus),
  }
}

async function isUsed(db: Queries, kind: UnitKind, id: string): Promise<boolean> {
  const scopes = await db.all<{ scope: string }>('SELECT DISTINCT scope FROM role_assignment')
  if (scopes.some(({ scope }) => (JSON.parse(scope) as Partial<Record<UnitKind, string[]>>)[kind]?.includes(id))) return true
  if (kind === 'areas') return false
  const column = kind === 'campuses' ? 'campus_id' : 'department_id'
  const questions = [`SELECT id FROM account WHERE ${column} = $1`]
  if (kind === 'campuses') questions.push('SELECT id FROM department WHERE campus_id = $1', 'SELECT id FROM area WHERE campus_id = $1')
  for (const question of questions) if ((await db.get(question, [id])) !== undefined) return true
  return false
}
