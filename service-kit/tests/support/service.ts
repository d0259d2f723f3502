import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeRoles } from 'specs'
import {
  createAccounts,
  createHttpFace,
  createLog,
  createMetrics,
  openDatabase,
  type Accounts,
  type AccountsOptions,
  type Database,
  type HttpFace,
  type HttpFaceOptions,
} from '../../src/index.ts'

/** A service with accounts on a free port of the loopback, its data in a folder of its own. */
export interface TestService {
  readonly face: HttpFace
  readonly accounts: Accounts
  readonly db: Database
  /** Lines of the log, parsed. */
  readonly logged: Record<string, unknown>[]
  /** Listens; add routes before. */
  start(): Promise<string>
  stop(): Promise<void>
}

export const doctor = { username: 'wang', password: 'correct horse', name: '王医生', title: '主治医师', roles: ['doctor'] }
export const administrator = { username: 'admin', password: 'battery staple', name: '管理员', roles: ['admin'] }

export async function aService(
  options: { face?: Partial<HttpFaceOptions>; accounts?: Partial<AccountsOptions> } = {},
): Promise<TestService> {
  const folder = await mkdtemp(join(tmpdir(), 'lianpian-service-'))
  const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'test.sqlite') })
  const logged: Record<string, unknown>[] = []
  const log = createLog({ name: 'test', level: 'debug' }, { write: (line) => logged.push(JSON.parse(line) as Record<string, unknown>) })
  const accounts = await createAccounts({ db, party: 'hospital-a', roles: nodeRoles, log, identity: { secondFactor: 'optional' }, ...options.accounts })
  await accounts.ensure(doctor)
  await accounts.ensure(administrator)
  const face = createHttpFace({
    name: 'test-service',
    version: '1.2.3',
    log,
    metrics: createMetrics(),
    accounts,
    closeDeadlineMs: 200,
    ...options.face,
  })
  return {
    face,
    accounts,
    db,
    logged,
    start: async () => `http://127.0.0.1:${(await face.listen({ host: '127.0.0.1', port: 0 })).port}`,
    stop: async () => {
      await face.close()
      await db.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export async function signIn(
  url: string,
  who: { username: string; password: string },
): Promise<{ token: string; cookie: string; bearer: { Authorization: string } }> {
  const response = await postJson(`${url}/api/sessions`, { username: who.username, password: who.password })
  const { token } = (await response.json()) as { token: string }
  return { token, cookie: (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '', bearer: { Authorization: `Bearer ${token}` } }
}

export function postJson(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) })
}
