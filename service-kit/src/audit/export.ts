import type { AuditRow } from 'specs'

const columns: readonly [string, (row: AuditRow) => unknown][] = [
  ['序号', ({ seq }) => seq],
  ['时间', ({ at }) => new Date(at).toISOString()],
  ['操作', ({ title }) => title],
  ['操作代码', ({ action }) => action],
  ['结果', ({ outcome }) => outcome],
  ['原因代码', ({ code }) => code],
  ['操作者', ({ actor }) => actor.name],
  ['操作者标识', ({ actor }) => actor.id],
  ['角色', ({ actor }) => actor.roles?.join(' ')],
  ['认证方式', ({ actor }) => actor.authMethod],
  ['来源地址', ({ actor }) => actor.sourceIp],
  ['设备', ({ actor }) => actor.device],
  ['会话', ({ actor }) => actor.sessionId],
  ['对象类型', ({ object }) => object?.type],
  ['对象标识', ({ object }) => object?.id],
  ['所属医院', ({ object }) => object?.owner],
  ['患者标识(散列)', ({ object }) => object?.patientKey],
  ['依据', ({ basis }) => basis],
  ['事由', ({ reason }) => reason],
  ['修改前', ({ before }) => before && JSON.stringify(before)],
  ['修改后', ({ after }) => after && JSON.stringify(after)],
  ['次数', ({ count }) => (count ?? 0) || 1],
  ['事件标识', ({ eventId }) => eventId],
  ['摘要', ({ hash }) => hash],
]

/** RFC 4180, with a byte order mark so that spreadsheets read Chinese. A cell that a spreadsheet would calculate is told as text. */
export async function* csvOf(rows: AsyncIterable<AuditRow>): AsyncGenerator<string> {
  yield `\ufeff${columns.map(([title]) => cell(title)).join(',')}\r\n`
  for await (const row of rows) yield `${columns.map(([, value]) => cell(value(row))).join(',')}\r\n`
}

export async function* jsonLinesOf(rows: AsyncIterable<AuditRow>): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`
}

/** What spreadsheets take for the beginning of a formula, also in the full-width forms of Chinese input. */
const formula = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/

function cell(value: unknown): string {
  const text = value === undefined || value === null ? '' : String(value)
  const harmless = typeof value === 'string' && formula.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
