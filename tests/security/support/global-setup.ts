import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSm2KeyPair } from 'pki'
import { HubRole, NodeRole } from 'specs'
import type { TestProject } from 'vitest/node'
import type { ApiUser } from '../../../scripts/region/api.ts'
import type { Region } from '../../../scripts/region/region.ts'
import { eventually, startTestRegion } from '../../support/region.ts'
import { makeStudies } from '../../support/studies.ts'

/** Everything the tests of this folder share: one region with an account of every role, one exam with images. */
export interface Grounds {
  readonly dir: string
  readonly password: string
  readonly hub: Party
  readonly node: Party
  readonly otherNode: Party
  readonly natsUrl: string
  readonly dicom: { readonly host: string; readonly port: number; readonly aeTitle: string }
  readonly logs: { readonly hub: string; readonly node: string }
  readonly pids: { readonly hub: number; readonly node: number }
  readonly exam: { readonly examId: string; readonly study: string; readonly series: string; readonly instance: string; readonly patientId: string }
}

/** One service with tokens of whoever could come to its doors. */
export interface Party {
  readonly id: string
  readonly url: string
  /** By role; also `narrow` (a doctor for ultrasound only), `tester` (whose locks hurt nobody) and `disabled` (signed in before the account was closed). */
  readonly tokens: Readonly<Record<string, string>>
  readonly service: { readonly keyId: string; readonly privateKeyPem: string; readonly role: string }
}

declare module 'vitest' {
  interface ProvidedContext {
    grounds: Grounds
  }
}

/** Started once for all files of the project. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const region = await startTestRegion({
    hospitals: ['hospital-a', 'hospital-b'],
    change: (plan) => ({
      ...plan,
      searchesPerMinute: 100_000,
      hubAccounts: [...HubRole.options.map((role) => ({ username: role, name: role, roles: [role] })), ...spare('observer')],
      hospitals: plan.hospitals.map((hospital) => ({ ...hospital, accounts: [...NodeRole.options.map((role) => ({ username: role, name: role, title: '', roles: [role] })), ...spare('doctor')] })),
    }),
  })
  try {
    project.provide('grounds', await prepare(region))
  } catch (error) {
    await region.close()
    throw error
  }
  return () => region.close()
}

/** Accounts that lose something before the tests begin, or in them. */
const spare = <R extends string>(role: R) => ['narrow', 'disabled', 'victim', 'tester', 'outsider'].map((username) => ({ username, name: username, title: '', roles: [role] }))

async function prepare(region: Region): Promise<Grounds> {
  const { file, dir } = region
  const [a, b] = file.hospitals
  if (!a || !b) throw new Error('two hospitals are needed')
  const node = await partyOf(a.id, a.url, [...NodeRole.options], (username) => region.signIn(a.id, username), { admin: 'admin', role: 'technician', scope: { modalities: ['US'] }, narrow: 'doctor' })
  const hub = await partyOf('hub', file.hub.url, [...HubRole.options], (username) => region.signInToHub(username), { admin: 'region-admin', role: 'observer' })
  const otherNode: Party = { ...node, id: b.id, url: b.url, tokens: { doctor: (await region.signIn(b.id, 'doctor')).token, admin: (await region.signIn(b.id, 'admin')).token } }
  return {
    dir,
    password: a.accounts[0]?.password ?? '',
    hub, node, otherNode,
    natsUrl: file.hub.nats,
    dicom: a.dicom,
    logs: { hub: region.hub.settings.logFile, node: region.node(a.id).settings.logFile },
    pids: { hub: region.hub.pid ?? 0, node: region.node(a.id).pid ?? 0 },
    exam: await anExam(await region.signIn(a.id, 'technician')),
  } // prettier-ignore
}

interface Special {
  /** Who keeps accounts there. */
  readonly admin: string
  /** Of the service account. */
  readonly role: string
  /** What the account `narrow` is limited to, where the service knows scopes. */
  readonly scope?: object
  readonly narrow?: string
}

async function partyOf(id: string, url: string, roles: readonly string[], signIn: (username: string) => Promise<ApiUser>, { admin, role, scope, narrow }: Special): Promise<Party> {
  const keeper = await signIn(admin)
  const security = await signIn('security-admin')
  const { rows } = await keeper.get<{ rows: { id: string; username: string }[] }>('/api/accounts?limit=200')
  const accountOf = (username: string) => rows.find((row) => row.username === username)?.id ?? ''
  if (narrow !== undefined) await security.send('PUT', `/api/accounts/${accountOf('narrow')}/roles`, { roles: [{ role: narrow, scope }] })
  const tokens: Record<string, string> = {}
  for (const username of [...roles, 'narrow', 'disabled', 'tester']) tokens[username] = (await signIn(username)).token
  await keeper.send('POST', `/api/accounts/${accountOf('disabled')}/disable`, { reason: '离职' })
  const pair = generateSm2KeyPair()
  const made = await keeper.send<{ id: string }>('POST', '/api/service-accounts', { username: 'his', name: 'HIS 接口' })
  const { keys } = await keeper.send<{ keys: { id: string }[] }>('POST', `/api/service-accounts/${made.id}/keys`, { pem: pair.publicKeyPem, description: '一号' })
  await security.send('PUT', `/api/service-accounts/${made.id}/roles`, { roles: [role] })
  return { id, url, tokens, service: { keyId: keys[0]?.id ?? '', privateKeyPem: pair.privateKeyPem, role } }
}

/** A CT exam of this hospital, sent as STOW-RS sends it. */
async function anExam(technician: ApiUser): Promise<Grounds['exam']> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-security-'))
  const [made] = makeStudies(folder, { count: 1, instancesEach: 2, batch: 77 })
  if (!made) throw new Error('no study')
  const files = readdirSync(made.folder).map((name) => readFileSync(join(made.folder, name)))
  const answer = await technician.raw('/dicom-web/studies', { method: 'POST', headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=x7', accept: 'application/dicom+json' }, body: multipart(files, 'x7') })
  if (answer.status !== 200) throw new Error(`STOW-RS answered ${answer.status}: ${await answer.text()}`)
  rmSync(folder, { recursive: true })
  const study = made.studyInstanceUid
  const { examId } = await eventually('the exam is registered', () => technician.get<{ examId: string }>(`/api/exams/by-study/${study}`))
  const [instance] = (await (await technician.raw(`/dicom-web/studies/${study}/instances`)).json()) as Record<string, { Value: string[] }>[]
  return { examId, study, series: instance?.['0020000E']?.Value[0] ?? '', instance: instance?.['00080018']?.Value[0] ?? '', patientId: made.patientId }
}

export const multipart = (files: readonly Uint8Array[], boundary: string): Buffer =>
  Buffer.concat([...files.flatMap((file) => [Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`), file, Buffer.from('\r\n')]), Buffer.from(`--${boundary}--\r\n`)])
