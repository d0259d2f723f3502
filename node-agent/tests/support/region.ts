import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from 'service-kit'
import { RegionId, type HospitalId, type HospitalKind, type JoinCode } from 'specs'
import { HubConfig, settingsOf as hubSettingsOf } from '../../../hub/src/config.ts'
import { initAuthority } from '../../../hub/src/authority/set-up.ts'
import { startHub, type RunningHub } from '../../../hub/src/hub.ts'
import { startThrowAwayNats, type ThrowAwayNats } from '../../../service-kit/tests/support/nats.ts'
import { ApiUser } from '../../../scripts/region/api.ts'
import { NodeConfig, settingsOf, type NodeSettings } from '../../src/config.ts'
import { startNode, type RunningNode } from '../../src/node.ts'

/** Of every account of a test region. */
export const password = 'lianpian-test-1'
/** Of the test region's root. */
export const rootPassphrase = 'correct horse battery'
const level = (process.env['TEST_LOG'] ?? 'silent') as 'silent'

/** A hospital of a test region: a real node in this process, which can be stopped and started again on its data. */
export class TestHospital {
  readonly id: HospitalId
  readonly #settings: NodeSettings
  node: RunningNode

  private constructor(id: HospitalId, settings: NodeSettings, node: RunningNode) {
    this.id = id
    this.#settings = settings
    this.node = node
  }

  static async start(folder: string, id: HospitalId, name: string, more: Record<string, unknown>): Promise<TestHospital> {
    const account = (username: string, roles: string[]) => ({ username, password, name: username, title: '主任医师', roles })
    const config = NodeConfig.parse({
      hospital: { id, name },
      dataFolder: join(folder, id),
      http: { port: 0 },
      dimse: { host: '127.0.0.1', port: 0, aeTitle: 'TEST', allowAnyAe: true },
      archive: { minFreeBytes: 1_000_000 },
      audit: { checkpointSeconds: 1 },
      identity: { secondFactor: 'optional' },
      accounts: [
        account('doctor', ['doctor', 'technician']),
        account('expert', ['expert']),
        account('colleague', ['expert']),
        account('admin', ['admin']),
        account('auditor', ['audit-admin']),
        account('registrar', ['registrar']),
        account('records', ['records']),
        account('security', ['security-admin']),
      ],
      ...more,
    })
    const settings = settingsOf(config, folder)
    return new TestHospital(id, settings, await startNode(settings, createLog({ name: id, level })))
  }

  async stop(): Promise<void> {
    await this.node.stop()
  }

  async startAgain(): Promise<void> {
    this.node = await startNode(this.#settings, createLog({ name: this.id, level }))
  }

  get url(): string {
    return `http://127.0.0.1:${this.node.httpPort}`
  }

  signIn(username: string): Promise<ApiUser> {
    return ApiUser.signIn(this.url, username, password)
  }
}

/** A real hub and nats-server with joined nodes, all in this process, with quick heartbeats. */
export class TestRegion {
  readonly folder: string
  readonly nats: ThrowAwayNats
  readonly hub: RunningHub
  readonly #admin: ApiUser
  #isHubStopped = false
  readonly hospitals: TestHospital[] = []

  private constructor(folder: string, nats: ThrowAwayNats, hub: RunningHub, admin: ApiUser) {
    this.folder = folder
    this.nats = nats
    this.hub = hub
    this.#admin = admin
  }

  /** @param more settings of the hub that matter to the test. */
  static async start(regionId = 'yunling', name = '云岭区域影像网', more: Record<string, unknown> = {}): Promise<TestRegion> {
    const folder = await mkdtemp(join(tmpdir(), 'lianpian-nodes-'))
    const nats = await startThrowAwayNats()
    const region = { id: RegionId.parse(regionId), name }
    const accounts = [
      { username: 'security', password, name: '安全管理员', roles: ['security-admin'] },
      { username: 'admin', password, name: '区域管理员', roles: ['region-admin'] },
      { username: 'auditor', password, name: '区域审计员', roles: ['audit-admin'] },
      { username: 'authority', password, name: '卫生主管部门', roles: ['authority'] },
    ]
    const config = HubConfig.parse({
      dir: join(folder, 'hub'),
      region,
      http: { port: 0 },
      nats: { url: nats.url, adminDir: nats.dir },
      heartbeatMs: 500,
      audit: { checkpointSeconds: 1 },
      identity: { secondFactor: 'optional' },
      accounts,
      ...more,
    })
    const settings = hubSettingsOf(config, folder)
    await initAuthority({ dir: settings.dir, regionId: region.id, regionName: region.name, rootPassphrase })
    const hub = await startHub(settings, createLog({ name: 'hub', level }))
    return new TestRegion(folder, nats, hub, await ApiUser.signIn(`http://127.0.0.1:${hub.port}`, 'admin', password))
  }

  get hubUrl(): string {
    return `http://127.0.0.1:${this.hub.port}`
  }

  /** The region's administrator at the hub. */
  get admin(): ApiUser {
    return this.#admin
  }

  /** Who keeps certificates and roles. */
  security(): Promise<ApiUser> {
    return ApiUser.signIn(this.hubUrl, 'security', password)
  }

  /** A join code for a hospital, which is registered now unless it is `known`. */
  async invite(id: HospitalId, name: string, kinds: readonly HospitalKind[], { known = false } = {}): Promise<string> {
    const entry = { id, name, code: id.slice(0, 22), kinds, taskTypes: ['consultation'], flowModes: ['push', 'pull'], agentAddress: '' }
    if (!known) await this.#admin.send('POST', '/api/hospitals', entry)
    return (await this.#admin.send<JoinCode>('POST', `/api/hospitals/${id}/join-code`)).code
  }

  async add(id: HospitalId, name: string, kinds: readonly HospitalKind[], more: Record<string, unknown> = {}): Promise<TestHospital> {
    const given = { region: { heartbeatMs: 500 }, ...more }
    const hospital = await TestHospital.start(this.folder, id, name, given)
    this.hospitals.push(hospital)
    const admin = await hospital.signIn('admin')
    await admin.send('PUT', '/api/link', { hubUrl: this.hubUrl, joinCode: await this.invite(id, name, kinds) })
    return hospital
  }

  /** The platform is away from now on. */
  async stopHub(): Promise<void> {
    this.#isHubStopped = true
    await this.hub.stop()
  }

  async stop(): Promise<void> {
    await Promise.all(this.hospitals.map((hospital) => hospital.stop()))
    if (!this.#isHubStopped) await this.hub.stop()
    await this.nats.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}
