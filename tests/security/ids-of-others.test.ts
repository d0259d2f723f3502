import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import type { ApiUser } from '../../scripts/region/api.ts'
import { eventually } from '../support/region.ts'
import { makeStudies } from '../support/studies.ts'
import { aConsult } from './support/a-consult.ts'
import { multipart } from './support/global-setup.ts'
import { ask, bearer, doorsOf, shown, signIn, type Door } from './support/visitor.ts'

const { node, otherNode, exam, password } = inject('grounds')
const DAY_MS = 86_400_000
const reason = { reason: '核对本人工作' }
const text = { findings: 'x', opinion: 'x', advice: '', keyImages: [] }

/** A CT that no device has begun. */
const step = { patientId: 'P-7', issuerOfPatientId: '', patientName: '王预约', modality: 'CT', startDate: '2026-12-01', startTime: '08:30:00', requestedProcedureId: '', accessionNumber: '' }

/** What a request must hold so that only access is left to refuse it. */
const bodies: Record<string, unknown> = {
  'PATCH /api/exams/{examId}': { clinicalHistory: 'x' },
  'DELETE /api/exams/{examId}': reason,
  'PUT /api/exams/{examId}/legal-hold': { held: true, ...reason },
  'PUT /api/exams/{examId}/label': { label: 'vip', ...reason },
  'POST /api/exams/{examId}/patient-token': {},
  'POST /api/consults/{taskId}/sign': { opinion: text },
  'PUT /api/consults/{taskId}/draft': text,
  'POST /api/matching/studies/{studyUid}/corrections': { target: { kind: 'patient', patientId: 'X-1', patientName: '王别人', patientSex: 'M', patientBirthDate: '1970-01-01' }, ...reason },
  'PUT /api/worklist/{itemId}': step,
  'POST /api/consults/{taskId}/print': {},
}
/** Roles of the daily work: together they open every door that names an exam, a study, a task or a transfer. */
const work = ['doctor', 'expert', 'reviewer', 'clinician', 'technician', 'registrar', 'records']

/** What the door names, by the words of its path. */
const ofAnExam = (door: string) => /\{(examId|studyUid|study|taskId|tokenId|itemId|importId|correctionId)\}|^GET \/wado$|\/api\/transfers\/\{id\}/.test(door) && !/cross-hospital|^POST \/dicom-web/.test(door)
/** Of one person: a colleague with the same role has no use for it. */
const ofAPerson = (door: string) => /\{searchId\}|\/break-glass\/\{breakGlassId\}\/end|cross-hospital\/exams\/\{studyUid\}|\{exportId\}/.test(door)
/** Tried with real ids in events-and-ids.test.ts and in service-kit's second-factor-attacks.test.ts. */
const triedElsewhere = (door: string) => /sessions\/own|second-factors\/\{id\}/.test(door)
/** Duties of one administrator for the whole hospital: the matrix says whose, and there are no smaller owners. Ids of another hospital are tried below. */
const ofTheHospital = (door: string) =>
  /\/api\/(sessions|accounts|roles|groups|organisation|service-accounts|signing-keys|grants|consents|messages|dicom-nodes|receiving-nodes|storage|storage-commitments|archive-monitor|normalisation|archive\/compression|dicom-forwards|routing|acquisition|access\/rules|audit|export-projects|services)\/|\/review$/.test(door)

let doors: Door[] = []
let taskId = ''
let applicant: ApiUser, expert: ApiUser
const at: Record<'here' | 'there', Record<string, string>> = { here: {}, there: {} }

async function as<T>(url: string, username: string, method: string, path: string, body?: unknown): Promise<T> {
  const { token } = await signIn(url, username, password)
  const answered = await ask(url, { method, path, body, headers: bearer(token) })
  if (answered.status >= 300) throw new Error(`${username} ${method} ${path}: ${shown(answered)} ${answered.text.slice(0, 300)}`)
  return (answered.text === '' ? undefined : JSON.parse(answered.text)) as T
}
const transferAt = async (user: ApiUser) => (await user.get<{ rows: { transferId: string; studyInstanceUid: string }[] }>('/api/transfers')).rows.find((row) => row.studyInstanceUid === exam.study)?.transferId ?? ''

beforeAll(async () => {
  ;({ taskId, applicant, expert } = await aConsult(node, otherNode, password, { examId: exam.examId, question: '请会诊' }))
  doors = (await doorsOf(node.url)).filter(({ path }) => path.includes('{') || path === '/wado')
  for (const url of [node.url, otherNode.url]) {
    const { rows } = await as<{ rows: { id: string; username: string }[] }>(url, 'admin', 'GET', '/api/accounts?limit=200')
    const id = rows.find(({ username }) => username === 'outsider')?.id ?? ''
    await as(url, 'security-admin', 'PUT', `/api/accounts/${id}/roles`, { roles: work.map((role) => ({ role, scope: { modalities: ['US'] } })) })
  }
  const { tokenId } = await applicant.send<{ tokenId: string }>('POST', `/api/exams/${exam.examId}/patient-token`, {})
  const { searchId } = await applicant.send<{ searchId: string }>('POST', '/api/cross-hospital/searches', { patient: { name: '王不存在', birthDate: '1971-01-01' }, purpose: 'treatment', ...reason })
  const { breakGlassId } = await applicant.send<{ breakGlassId: string }>('POST', '/api/break-glass', { patient: { examId: exam.examId }, ...reason })
  const { exportId } = await applicant.send<{ exportId: string }>('POST', '/api/exports', { studyInstanceUid: exam.study, level: 'L1', format: 'dicom', purpose: '教学', includeShown: true, ...reason })
  const { itemId } = await as<{ itemId: string }>(node.url, 'registrar', 'POST', '/api/worklist', step)
  const { id: importId } = await as<{ id: string }>(node.url, 'technician', 'POST', '/api/imports', { name: '光盘', files: 1 })
  const correctionId = await aCorrection()
  at.here = { ...exam, itemId, importId, correctionId, studyUid: exam.study, studyInstanceUid: exam.study, taskId, tokenId, searchId, breakGlassId, exportId, transfer: await transferAt(applicant), frames: '1', path: '00091010' }
  at.there = { ...at.here, transfer: await transferAt(expert) }
}, 120_000)

/** Of a study of its own: images that came under a wrong patient were moved to the right one. */
async function aCorrection(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-security-'))
  try {
    const [made] = makeStudies(folder, { count: 1, instancesEach: 1, batch: 78 })
    if (!made) throw new Error('no study')
    const files = readdirSync(made.folder).map((name) => readFileSync(join(made.folder, name)))
    const { token } = await signIn(node.url, 'technician', password)
    const stored = await ask(node.url, { method: 'POST', path: '/dicom-web/studies', body: multipart(files, 'x7'), headers: { ...bearer(token), 'content-type': 'multipart/related; type="application/dicom"; boundary=x7', accept: 'application/dicom+json' } })
    expect(stored.status).toBe(200)
    await eventually('its exam', () => as(node.url, 'technician', 'GET', `/api/exams/by-study/${made.studyInstanceUid}`))
    const { correctionId } = await as<{ correctionId: string }>(node.url, 'technician', 'POST', `/api/matching/studies/${made.studyInstanceUid}/corrections`, { target: { kind: 'patient', patientId: 'C-78', patientName: '王更正', patientSex: 'M', patientBirthDate: '1970-01-01' }, reason: '急诊补录' })
    return correctionId
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The door with real ids of this side in it. */
function knock(door: Door, ids: Record<string, string>, token: string, url: string) {
  const query = door.path === '/wado' ? `?requestType=WADO&studyUID=${exam.study}&seriesUID=${exam.series}&objectUID=${exam.instance}` : /imports.*(files|archive)$/.test(door.path) ? '?name=1.dcm' : ''
  const path = door.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent((name === 'id' && door.path.includes('transfers') ? ids['transfer'] : ids[name]) ?? randomUUID()))
  return ask(url, { method: door.method, path: `${path}${query}`, headers: bearer(token), ...(door.takesBody && { body: bodies[door.door] ?? reason }) })
}

describe('the real id of what somebody else may see', () => {
  it('stands in a door that is tried here: no door with an id is left out', () => {
    const left = doors.map(({ door }) => door).filter((door) => ![ofAnExam, ofAPerson, triedElsewhere, ofTheHospital].some((is) => is(door)) && !door.startsWith('POST /dicom-web'))
    expect(left).toEqual([])
    expect(Object.entries({ ...at.here, there: at.there['transfer'] }).filter(([, id]) => id === '' || id === undefined)).toEqual([])
  })

  it.each(['here', 'there'] as const)('opens nothing to whoever has every right of the daily work, but for ultrasound only: %s', async (side) => {
    // SEC-03, IDOR. Shown to fail with admitUser, admitReader or StudyAudience answering yes to everybody, each alone.
    const url = side === 'here' ? node.url : otherNode.url
    const { token } = await signIn(url, 'outsider', password)
    const before = await applicant.get<object>(`/api/consults/${taskId}`)
    const wrong: string[] = []
    for (const door of doors.filter(({ door: name }) => ofAnExam(name))) {
      const answered = await knock(door, at[side], token, url)
      if (![403, 404].includes(answered.status)) wrong.push(`${door.door}: ${shown(answered)} ${answered.status === 400 ? answered.text.slice(0, 200) : ''}`)
      if (answered.text.includes(exam.patientId) || answered.text.includes('请会诊')) wrong.push(`${door.door} tells whose it is`)
    }
    expect(wrong).toEqual([])
    const lists = await Promise.all(['/api/exams', '/api/consults', '/api/transfers', '/dicom-web/studies', '/dicom-web/series', '/dicom-web/instances'].map((path) => ask(url, { method: 'GET', path, headers: bearer(token) })))
    for (const { text: listed } of lists) for (const id of [exam.study, taskId, exam.examId, at[side]['transfer'] ?? '']) expect(listed).not.toContain(id)
    expect(await applicant.get<object>(`/api/consults/${taskId}`)).toEqual(before)
  })

  it('opens nothing to a colleague of the same role, where it is one person’s', async () => {
    // Shown to fail with the comparison of userId taken out of Searches.of.
    const wrong: string[] = []
    for (const door of doors.filter(({ door: name }) => ofAPerson(name))) {
      const answered = await knock(door, at.here, node.tokens['tester'] ?? '', node.url)
      if (![403, 404].includes(answered.status)) wrong.push(`${door.door}: ${shown(answered)}`)
    }
    expect(wrong).toEqual([])
    expect((await applicant.get<{ searchId: string }>(`/api/cross-hospital/searches/${at.here['searchId']}`)).searchId).toBe(at.here['searchId'])
    expect((await expert.send<{ revision: number }>('PUT', `/api/consults/${taskId}/draft`, text)).revision).toBe(1)
    expect(JSON.stringify(await as(otherNode.url, 'expert', 'GET', `/api/consults/${taskId}/draft`))).toContain('"revision":1')
  })

  it('of another hospital moves nothing there, and finds nothing here', async () => {
    // SEC-03. The other hospital's own things, asked for at ours by whoever may do so with our own.
    const there = otherNode.url
    const doctor = { accessionNumber: `B${Date.now()}`, patientId: 'B-1', patientName: '李四', patientSex: 'M', patientBirthDate: '1970-01-01', modality: 'CT', bodyPart: 'HEAD', description: '头颅', studyDate: '2026-01-01', studyTime: '', studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '' }
    const { examId } = await as<{ examId: string }>(there, 'registrar', 'POST', '/api/exams', doctor)
    const { tokenId } = await as<{ tokenId: string }>(there, 'registrar', 'POST', `/api/exams/${examId}/patient-token`, {})
    const { consentId } = await as<{ consentId: string }>(there, 'registrar', 'POST', '/api/consents', { direction: 'receive', patient: { name: '李四', birthDate: '1970-01-01' }, form: 'signature', textVersion: '2026-11', purposes: ['treatment'], expires: Date.now() + DAY_MS })
    const { authorisationId } = await as<{ authorisationId: string }>(there, 'records', 'POST', '/api/grants/authorisations', { grantees: 'region', purposes: ['treatment'], scope: {}, expires: Date.now() + DAY_MS, reason: '区域协议' })
    const { rows: accounts } = await as<{ rows: { id: string; username: string }[] }>(there, 'admin', 'GET', '/api/accounts?limit=200')
    const tester = accounts.find(({ username }) => username === 'tester')?.id ?? ''
    const [session] = await as<{ id: string }[]>(there, 'admin', 'GET', '/api/sessions')
    const grants = await as<{ rows: { grantId: string }[] }>(node.url, 'records', 'GET', '/api/grants')
    const { rows: records } = await as<{ rows: { eventId: string }[] }>(there, 'audit-admin', 'GET', '/api/audit/records?limit=1')
    const attempts: (readonly [string, string, string, unknown?])[] = [
      ['doctor', 'GET', `/api/exams/${examId}`], ['doctor', 'PATCH', `/api/exams/${examId}`, { clinicalHistory: 'x' }], ['registrar', 'DELETE', `/api/patient-tokens/${tokenId}`],
      ['registrar', 'POST', `/api/consents/${consentId}/withdraw`, reason], ['records', 'POST', `/api/grants/authorisations/${authorisationId}/withdraw`, reason],
      ['admin', 'POST', `/api/accounts/${tester}/disable`, reason], ['admin', 'POST', `/api/accounts/${tester}/password`], ['security-admin', 'PUT', `/api/accounts/${tester}/roles`, { roles: ['admin'] }],
      ['admin', 'DELETE', `/api/sessions/${session?.id}`], ['audit-admin', 'GET', `/api/audit/records/${records[0]?.eventId}`], ['doctor', 'POST', `/api/transfers/${at.there['transfer']}/cancel`],
    ] // prettier-ignore
    const wrong: string[] = []
    for (const [role, method, path, body] of attempts) {
      const answered = await ask(node.url, { method, path, body, headers: bearer(node.tokens[role] ?? '') })
      if (answered.status !== 404) wrong.push(`${role} ${method} ${path}: ${shown(answered)}`)
    }
    // A grant is its owner's: whom it was given to cannot take it back at its own node.
    for (const { grantId } of grants.rows.slice(0, 1)) {
      const { token } = await signIn(there, 'records', password)
      const answered = await ask(there, { method: 'POST', path: `/api/grants/${grantId}/withdraw`, body: reason, headers: bearer(token) })
      if (answered.status !== 404) wrong.push(`the grantee withdraws: ${shown(answered)}`)
    }
    expect(wrong).toEqual([])
    expect(grants.rows.length).toBeGreaterThan(0)
    expect(await as<{ state: string }[]>(there, 'registrar', 'GET', '/api/consents')).toEqual(expect.arrayContaining([expect.objectContaining({ consentId, state: 'valid' })]))
    expect(await as<{ state: string }[]>(there, 'records', 'GET', '/api/grants/authorisations')).toEqual(expect.arrayContaining([expect.objectContaining({ authorisationId, state: 'valid' })]))
    expect((await signIn(there, 'tester', password)).id).toBe(tester)
  })
})
