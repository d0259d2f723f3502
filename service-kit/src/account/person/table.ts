import { Buffer } from 'node:buffer'
import { parse } from 'csv-parse/sync'
import { Problem } from 'specs'
import { NewPerson } from './person.ts'

/** What a table of staff may have as columns, as hospitals call them. */
const columns = {
  username: ['用户名', '登录名', '账号', 'username'],
  name: ['姓名', 'name'],
  staffNumber: ['工号', '职工号', 'staff number', 'staffnumber'],
  title: ['职称', 'title'],
  department: ['科室', 'department'],
  campus: ['院区', 'campus'],
  position: ['岗位', 'position'],
  phone: ['电话', '手机', '手机号', '联系电话', 'phone'],
  roles: ['角色', 'roles', 'role'],
  groups: ['用户组', '分组', 'groups', 'group'],
  validUntil: ['有效期至', '有效期', 'valid until', 'validuntil'],
} as const
type Column = keyof typeof columns

/** One line of the table, read or refused. */
export interface TableRow {
  /** As a spreadsheet numbers it; the heading is 1. */
  readonly line: number
  readonly cells: Readonly<Partial<Record<Column, string>>>
  readonly person?: NewPerson
  readonly errors: readonly { readonly column: string; readonly message: string }[]
}

/** Names in the table may be identifiers or what people call them. */
export interface TableNames {
  readonly departments: readonly { id: string; name: string }[]
  readonly campuses: readonly { id: string; name: string }[]
  readonly roles: readonly { id: string; zh: string; en: string }[]
  readonly groups: readonly { id: string; name: string }[]
}

const MAX_ROWS = 2_000

/** UTF-8 when it is that, otherwise GB18030, which spreadsheets in China write. */
export function textOf(file: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file)
  } catch {
    return new TextDecoder('gb18030').decode(file)
  }
}

/** @throws {Problem} access/import-invalid when there is no table to speak of: no heading, a column missing, too many rows. */
export function readTable(file: Uint8Array, names: TableNames): TableRow[] {
  let lines: string[][]
  try {
    lines = parse(Buffer.from(textOf(file)), { bom: true, skip_empty_lines: true, relax_column_count: true, trim: true, max_record_size: 10_000 }) as string[][]
  } catch (cause) {
    throw new Problem('access/import-invalid', { reason: 'not a CSV table' }, { cause })
  }
  const [heading = [], ...rows] = lines
  const places = placesOf(heading)
  const missing = (['username', 'name'] as const).filter((column) => places[column] === undefined).map((column) => columns[column][0])
  if (missing.length > 0) throw new Problem('access/import-invalid', { missingColumns: missing })
  if (rows.length > MAX_ROWS) throw new Problem('access/import-invalid', { rows: rows.length, most: MAX_ROWS })
  const read = rows.map((cells, i) => readRow(i + 2, cells, places, names))
  return refuseTwice(read)
}

function placesOf(heading: readonly string[]): Partial<Record<Column, number>> {
  const places: Partial<Record<Column, number>> = {}
  for (const [column, titles] of Object.entries(columns) as [Column, readonly string[]][]) {
    const place = heading.findIndex((title) => titles.includes(title.trim().toLowerCase()))
    if (place >= 0) places[column] = place
  }
  return places
}

function readRow(line: number, values: readonly string[], places: Partial<Record<Column, number>>, names: TableNames): TableRow {
  const cells = Object.fromEntries(
    (Object.entries(places) as [Column, number][]).map(([column, place]) => [column, values[place] ?? '']),
  ) as Partial<Record<Column, string>>
  const errors: { column: string; message: string }[] = []
  const refuse = (column: Column, message: string) => void errors.push({ column: columns[column][0], message })
  const unit = (column: 'department' | 'campus', known: TableNames['departments']) => {
    const given = cells[column] ?? ''
    if (given === '') return null
    const found = known.find(({ id, name }) => id === given || name === given)
    if (found === undefined) refuse(column, `没有“${given}”`)
    return found?.id ?? null
  }
  const several = (column: 'roles' | 'groups', find: (given: string) => string | undefined) =>
    (cells[column] ?? '')
      .split(/[;；、|]/)
      .map((given) => given.trim())
      .filter((given) => given !== '')
      .flatMap((given) => {
        const found = find(given)
        if (found === undefined) refuse(column, `没有“${given}”`)
        return found === undefined ? [] : [found]
      })
  const candidate = {
    username: cells.username ?? '',
    name: cells.name ?? '',
    title: cells.title ?? '',
    position: cells.position ?? '',
    staffNumber: cells.staffNumber || null,
    phone: cells.phone || null,
    department: unit('department', names.departments),
    campus: unit('campus', names.campuses),
    roles: several('roles', (given) => names.roles.find(({ id, zh, en }) => [id, zh, en].includes(given))?.id),
    groups: several('groups', (given) => names.groups.find(({ id, name }) => id === given || name === given)?.id),
    validUntil: endOfDay(cells.validUntil ?? '', () => refuse('validUntil', '日期应为 2026-12-31 的形式')),
  }
  const parsed = NewPerson.safeParse(candidate)
  for (const issue of parsed.error?.issues ?? []) {
    const column = issue.path[0] as Column
    refuse(column, (cells[column] ?? '') === '' ? '不能为空' : issue.code === 'too_big' ? `最多 ${issue.maximum} 个字` : issue.message)
  }
  return { line, cells, errors, ...(errors.length === 0 && parsed.success && { person: parsed.data }) }
}

/** The whole of the named day counts, in this hospital's time. */
function endOfDay(text: string, refuse: () => void): number | null {
  if (text === '') return null
  const [, year, month, day] = /^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$/.exec(text) ?? []
  const end = new Date(Number(year), Number(month) - 1, Number(day), 23, 59, 59, 999)
  if (year === undefined || end.getMonth() !== Number(month) - 1) {
    refuse()
    return null
  }
  return end.getTime()
}

function refuseTwice(rows: readonly TableRow[]): TableRow[] {
  const seen = { username: new Set<string>(), staffNumber: new Set<string>() }
  return rows.map((row) => {
    const twice = (['username', 'staffNumber'] as const).filter((column) => {
      const value = row.cells[column]?.toLowerCase() ?? ''
      if (value === '' || !seen[column].has(value)) return void seen[column].add(value)
      return true
    })
    if (twice.length === 0) return row
    const { person: _, ...rest } = row
    return { ...rest, errors: [...row.errors, ...twice.map((column) => ({ column: columns[column][0], message: '表内重复' }))] }
  })
}
