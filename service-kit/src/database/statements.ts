import { QueryTypes, type Sequelize, type Transaction as SequelizeTransaction } from 'sequelize'
import { databaseError } from './database-error.ts'
import type { Queries, SqlValue } from './database.ts'

/** Runs our raw statements on PostgreSQL through Sequelize. */
export function statements(sequelize: Sequelize, transaction?: SequelizeTransaction): Queries {
  const inTransaction = transaction === undefined ? {} : { transaction }

  async function all<T>(sql: string, params: readonly SqlValue[] = []): Promise<T[]> {
    try {
      const rows = await sequelize.query(sql, { type: QueryTypes.SELECT, raw: true, bind: bindable(params), ...inTransaction })
      return rows as T[]
    } catch (error) {
      throw databaseError(error, sql)
    }
  }
  async function get<T>(sql: string, params?: readonly SqlValue[]): Promise<T | undefined> {
    const rows = await all<T>(sql, params)
    return rows[0]
  }
  async function run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    try {
      // BULKDELETE is the one query type whose answer is the number of touched rows, whatever the statement.
      return await sequelize.query(sql, { type: QueryTypes.BULKDELETE, raw: true, bind: bindable(params), ...inTransaction })
    } catch (error) {
      throw databaseError(error, sql)
    }
  }
  return { all, get, run }
}

/** Flags are INTEGER 0/1; PostgreSQL would refuse a boolean there. */
function bindable(params: readonly SqlValue[]): (string | number | null)[] {
  return params.map((value) => (typeof value === 'boolean' ? Number(value) : value))
}
