import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import type { Party } from './support/global-setup.ts'
import { matrixPage, printMatrix } from './support/matrix-page.ts'
import { readTable, type Row } from './support/table.ts'
import { ask, bearer, doorsOf, shown, signedAs, type Door } from './support/visitor.ts'

const grounds = inject('grounds')
const { exam } = grounds
/** For `{name}` in a path: what was prepared, or what exists nowhere. */
const usual: Record<string, string> = { ...exam, studyUid: exam.study, frames: '1', path: '00091010', kind: 'campuses', review: 'night', serial: 'deadbeef', studyInstanceUid: exam.study }
const nowhere = '00000000-0000-4000-8000-000000000000'
const wado = `requestType=WADO&studyUID=${exam.study}&seriesUID=${exam.series}&objectUID=${exam.instance}`
const queries: Record<string, string> = { 'GET /wado': wado, 'GET /api/audit/reviews/{review}': 'from=0&until=1000' }

describe.each([
  { name: 'node', party: grounds.node, elsewhere: grounds.otherNode },
  { name: 'hub', party: grounds.hub, elsewhere: grounds.node },
])('the doors of the $name', ({ name, party, elsewhere }) => {
  const table = readTable(name)
  let doors: Door[] = []
  beforeAll(async () => {
    doors = await doorsOf(party.url)
  })

  it('all have a row that says who may, and no row is without a door', () => {
    // SEC-02, SEC-03
    const [open, written] = [doors.map(({ door }) => door), table.rows.map(({ door }) => door)]
    expect(open.filter((door) => !written.includes(door)), `doors without a row in ${table.file}`).toEqual([])
    expect(written.filter((door) => !open.includes(door)), `rows without a door in ${table.file}`).toEqual([])
  })

  it('answer every role, nobody, the dismissed, a stranger’s token and a program as the table says', async () => {
    // SEC-01, SEC-02, SEC-03. Shown to fail: an `allow` widened or narrowed in the code, a row changed here.
    const wrong: string[] = []
    for (const row of table.rows) {
      const door = doors.find((candidate) => candidate.door === row.door)
      if (door === undefined) continue // told above
      const asked = requestOf(door, row)
      let visitors = 0
      const check = async (visitor: string, headers: Record<string, string>, expected: readonly string[]) => {
        // Each from an address of its own: limits of requests are not what is asked here.
        const answered = shown(await ask(party.url, { ...asked, headers: { ...asked.headers, ...headers }, from: `127.0.10.${++visitors}` }))
        if (!expected.includes(answered)) wrong.push(`${row.door} for ${visitor}: ${answered}, not ${expected.join(' or ')}`)
      }
      const visits = table.roles.map(async (role) => check(role, bearer(await tokenFor(party, row, role)), expectedOf(row, role)))
      const stranger = row.who === 'anyone' ? [row.but['nobody'] ?? row.answer] : ['401 access/not-signed-in']
      visits.push(check('nobody', {}, stranger))
      visits.push(check('a dismissed user', bearer(party.tokens['disabled'] ?? ''), stranger))
      visits.push(check('a token of another service', bearer(elsewhere.tokens['admin'] ?? ''), stranger))
      visits.push(check('narrow', bearer(await tokenFor(party, row, 'narrow')), expectedOf(row, 'narrow', name === 'node' ? 'doctor' : 'observer')))
      visits.push(check('service', signedAs(party, asked), expectedOf(row, 'service', party.service.role)))
      await Promise.all(visits)
    }
    expect(wrong).toEqual([])
  }, 120_000)
})

it('the printed matrix is that of the tables', () => {
  // SEC-14
  expect(readFileSync(matrixPage, 'utf8'), 'npm run access-matrix').toBe(printMatrix())
})

function requestOf({ method, path, takesBody, door }: Door, { request }: Row) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(request.params?.[name] ?? usual[name] ?? nowhere))
  const query = request.query ?? queries[door]
  return { method, path: query === undefined ? filled : `${filled}?${query}`, ...(takesBody && { body: request.body ?? {} }), headers: request.headers ?? {} }
}

/** @param role whose rights the visitor has, where it is not itself a role. */
function expectedOf(row: Row, visitor: string, role = visitor): readonly string[] {
  const own = row.but[visitor]
  if (own !== undefined) return [own]
  if (row.who === 'anyone' || row.who.includes(role)) return [row.answer]
  return ['403 access/forbidden']
}

/** Doors that end the session get one of their own. */
async function tokenFor(party: Party, { door }: Row, username: string): Promise<string> {
  if (door !== 'DELETE /api/sessions/current') return party.tokens[username] ?? ''
  const { text } = await ask(party.url, { method: 'POST', path: '/api/sessions', body: { username, password: grounds.password } })
  return (JSON.parse(text) as { token: string }).token
}
