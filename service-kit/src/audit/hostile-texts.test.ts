import { parse } from 'csv-parse/sync'
import { AuditRecord, describeAction, HospitalId, type AuditEvent, type AuditRow } from 'specs'
import { describe, expect, it } from 'vitest'
import { draftOf } from './draft.ts'
import { csvOf } from './export.ts'
import { atnaMessage } from './syslog/atna.ts'
import { syslogMessage } from './syslog/message.ts'

/** A line of the log of its own, a terminal's commands, an end of line that only some readers know, letters turned round. */
const controls = ['\r\n{"forged":1}', '\u0000', '\u001b[2J', '\u009b2J', '\u0085', '\u2028', '\u2029', '\u202egnp.exe\u202c', '\u2066x\u2069', '\u007f']
const formulas = ['=cmd|\' /C calc\'!A0', '+1+1', '-2+3+cmd', '@SUM(1)', '\t=1', '\r=1', '\n=1', '＝1+1', '＋1', '－1', '＠SUM(1)']

/** As a stranger can write it: by User-Agent, by a name, by what another hospital asserts of its people. */
function rowOf(text: string): AuditRow {
  const event: AuditEvent = {
    action: 'exam.read', outcome: 'refused', reason: text, purpose: text, basis: text,
    actor: { kind: 'user', id: text, name: text, roles: [text, text], hospitalId: HospitalId.parse('hospital-x'), authMethod: text, sessionId: text, sourceIp: text, device: text },
    object: { type: 'study', id: text, owner: HospitalId.parse('hospital-a') }, before: { text }, after: { list: [text] }, facts: { text, source: text },
  } // prettier-ignore
  const draft = draftOf(event, { node: 'hospital-a', hospital: 'hospital-a', key: new Uint8Array(32), now: () => 1 })
  const record = AuditRecord.parse({ ...draft, seq: 1, prevHash: '0'.repeat(64), recordedAt: 1 })
  const { zh, en } = describeAction(record.action)
  return { ...record, title: zh, titleEn: en, hash: '' }
}

const csvText = async (row: AuditRow) => {
  const parts: string[] = []
  for await (const part of csvOf((async function* () { yield row })())) parts.push(part) // prettier-ignore
  return parts.join('')
}

describe('the words of strangers in the trail', () => {
  it.each(controls)('are one line of letters, wherever they are read: %j', async (text) => {
    // SEC-09, SEC-12: log injection. Shown to fail with `withoutControls`, `plain` and the spaces of `escape` taken out, each alone.
    const row = rowOf(`a${text}b`)
    const commands = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/
    const values: string[] = []
    JSON.stringify(row, (_key, value: unknown) => (typeof value === 'string' ? (values.push(value), value) : value))
    expect(values.filter((value) => commands.test(value))).toEqual([])
    const { roles = [], authMethod = '', name = '', device = '', id } = row.actor
    for (const value of [...roles, authMethod, name, device, id, row.object?.id ?? '', row.purpose ?? '', row.reason ?? '']) expect(value).not.toMatch(/[\r\n\t]/)
    expect(syslogMessage(row).toString('utf8')).not.toMatch(/[\r\n\u0085\u2028]/)
    expect(parse(await csvText(row), { bom: true })).toHaveLength(2)
  })

  it('are no second message and no element of their own for whoever collects them', () => {
    const xml = atnaMessage(rowOf('"/></AuditMessage><AuditMessage x="]]><!--<?x?>&evil;'))
    expect(xml.match(/<\/?AuditMessage/g)).toEqual(['<AuditMessage', '</AuditMessage'])
    expect(xml).not.toMatch(/<!|<\?x\?|&evil/)
  })

  it.each(formulas)('are never calculated by a spreadsheet: %j', async (text) => {
    // SEC-09: CSV injection. Shown to fail with the quote before a formula taken out of `cell`.
    const [, cells = []] = parse(await csvText(rowOf(text)), { bom: true }) as string[][]
    expect(cells.some((cell) => cell.includes(text.trim()))).toBe(true)
    expect(cells.filter((cell) => /^[\s]*[=+\-@＝＋－＠]/.test(cell))).toEqual([])
  })
})
