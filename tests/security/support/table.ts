import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** One door of a service and who may pass it: the second, independent statement beside the rights named in the code. */
export interface Row {
  /** `GET /api/exams`, `call exam.read`, `message consult.event`, `event exam`, `dimse C-FIND`. */
  readonly door: string
  /** Built-in roles, or `anyone` when no sign-in is asked. */
  readonly who: readonly string[] | 'anyone'
  /** What whoever passes is answered to the request of the test: status, and the code of a problem. */
  readonly answer: string
  /** Answers of single visitors that differ, e.g. a doctor whose role holds for ultrasound only. */
  readonly but: Readonly<Record<string, string>>
  readonly request: { readonly params?: Record<string, string>; readonly query?: string; readonly body?: unknown; readonly headers?: Record<string, string> }
  readonly section: string
  readonly line: number
}

export interface Table {
  readonly file: string
  readonly roles: readonly string[]
  readonly rows: readonly Row[]
}

/**
 * Reads `matrix.<name>.txt`: `roles:` names the columns, `@group = a, b` an abbreviation, `# …` a section, and every other line
 * is `door | who | answer | {request, but}`.
 *
 * @throws An Error naming file and line for whatever it does not understand: a table that is read wrongly would guard nothing.
 */
export function readTable(name: string): Table {
  const file = fileURLToPath(new URL(`../matrix.${name}.txt`, import.meta.url))
  const groups = new Map<string, readonly string[]>()
  let roles: readonly string[] = []
  let section = ''
  const rows: Row[] = []
  readFileSync(file, 'utf8').split('\n').forEach((text, index) => {
    const at = (reason: string) => new Error(`${file}:${index + 1}: ${reason}`)
    const line = text.trim()
    const expand = (list: string): string[] =>
      list.split(',').map((item) => item.trim()).filter((item) => item !== '').flatMap((item) => {
        if (item.startsWith('@')) {
          const group = groups.get(item)
          if (group === undefined) throw at(`unknown group ${item}`)
          return group
        }
        if (!roles.includes(item)) throw at(`unknown role ${item}`)
        return [item]
      }) // prettier-ignore
    if (line === '' || line.startsWith('//')) return
    if (line.startsWith('# ')) return void (section = line.slice(2))
    if (line.startsWith('roles:')) {
      roles = line.slice(6).split(',').map((role) => role.trim())
      return void groups.set('@all', roles)
    }
    const group = /^(@[\w-]+) = (.+)$/.exec(line)
    if (group) return void groups.set(group[1] as string, expand(group[2] as string))
    const [door, who, answer, extra = '{}', ...more] = line.split(' | ').map((cell) => cell.trim())
    if (door === undefined || who === undefined || answer === undefined || more.length > 0) throw at('not a row: door | who | answer | {…}')
    if (rows.some((row) => row.door === door)) throw at(`${door} has two rows`)
    const { but = {}, ...request } = JSON.parse(extra) as Row['request'] & { but?: Record<string, string> }
    rows.push({ door, who: who === 'anyone' ? who : [...new Set(expand(who))], answer, but, request, section, line: index + 1 })
  })
  return { file, roles, rows }
}
