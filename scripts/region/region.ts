import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LinkStatus, RegionFile } from 'specs'
import { ensureAuthority } from '../../hub/src/authority/set-up.ts'
import { prepareNats } from '../../hub/src/nats/index.ts'
import { ensureNatsServer, natsServerVersion, startNatsServer } from '../nats-server.mjs'
import { ApiUser } from './api.ts'
import { registerDicomPeers } from './dicom-peers.ts'
import { joinHospital } from './join-hospital.ts'
import type { Place } from './place.ts'
import type { HospitalPlan, RegionPlan } from './plan.ts'
import { ServiceProcess } from './service-process.ts'

export interface RegionOptions {
  /** Everything the region keeps: data, logs, configuration, passwords. */
  dir: string
  say?: (sentence: string) => void
  /** Services that do not run on this machine's loopback; by name: `hub` (with its nats-server) or the hospital's ID. */
  places?: Readonly<Record<string, Place>>
}

/**
 * A whole region as processes of this machine: nats-server, hub, and one node agent per hospital, joined by one-time
 * codes. `npm start`, the scenarios and the browser tests all stand on it.
 */
export class Region {
  readonly plan: RegionPlan
  readonly dir: string
  readonly file: RegionFile
  readonly hub: ServiceProcess
  readonly nodes: ReadonlyMap<string, ServiceProcess>
  readonly #say: (sentence: string) => void
  readonly #places: Readonly<Record<string, Place>>
  #nats: ChildProcess | undefined

  constructor(plan: RegionPlan, { dir, say = () => {}, places = {} }: RegionOptions) {
    this.plan = plan
    this.dir = dir
    this.#say = say
    this.#places = places
    mkdirSync(dir, { recursive: true })
    this.file = this.#describe()
    this.hub = this.#service('hub', 'hub/src/main.ts', this.file.hub.url)
    this.nodes = new Map(this.file.hospitals.map(({ id, url }) => [id as string, this.#service(id, 'node-agent/src/main.ts', url)]))
  }

  /** Starts what is not running, joins hospitals that have not joined, and writes region.json. */
  async start(): Promise<void> {
    this.#writeConfiguration()
    await ensureAuthority({ dir: join(this.dir, 'hub'), regionId: this.plan.regionId, regionName: this.plan.regionName, rootPassphrase: this.#secret('root-passphrase', 20) })
    await this.startNats()
    this.#say('启动区域中心 Starting the hub …')
    await this.hub.start()
    this.#say('启动医院节点 Starting the hospitals …')
    // Two at a time: each process compiles its sources when it starts.
    const waiting = [...this.nodes.values()]
    await Promise.all([0, 1].map(async () => { for (let node = waiting.shift(); node; node = waiting.shift()) await node.start() }))
    await this.#join()
    await this.#registerDicomPeers()
    writeFileSync(join(this.dir, 'region.json'), `${JSON.stringify(this.file, undefined, 2)}\n`, { mode: 0o600 })
  }

  async startNats(): Promise<void> {
    const path = await ensureNatsServer({ say: this.#say })
    const { configFile } = await prepareNats({ dir: join(this.dir, 'hub', 'nats'), storeDir: join(this.dir, 'hub', 'nats-store'), host: this.#places['hub']?.httpHost ?? this.plan.host, port: this.plan.natsPort, serverVersion: await natsServerVersion(path) })
    this.#nats = await startNatsServer({ path, configFile, launcher: this.#places['hub']?.launcher })
  }

  async stopNats(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#nats
    this.#nats = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
  }

  get natsPid(): number | undefined {
    return this.#nats?.pid
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.stop()))
    await this.hub.stop()
    await this.stopNats()
  }

  node(id: string): ServiceProcess {
    const found = this.nodes.get(id)
    if (!found) throw new Error(`no hospital ${id} in this region`)
    return found
  }

  hospital(id: string): RegionFile['hospitals'][number] {
    const found = this.file.hospitals.find((hospital) => hospital.id === id)
    if (!found) throw new Error(`no hospital ${id} in this region`)
    return found
  }

  /** A signed-in user of a hospital. */
  signIn(hospitalId: string, username: string): Promise<ApiUser> {
    const { url, accounts } = this.hospital(hospitalId)
    const account = accounts.find((candidate) => candidate.username === username)
    if (!account) throw new Error(`${hospitalId} has no account ${username}`)
    return ApiUser.signIn(url, username, account.password)
  }

  signInToHub(username = 'region'): Promise<ApiUser> {
    const account = this.file.hub.accounts.find((candidate) => candidate.username === username)
    if (!account) throw new Error(`the hub has no account ${username}`)
    return ApiUser.signIn(this.file.hub.url, username, account.password)
  }

  #describe(): RegionFile {
    const { plan } = this
    const password = this.#password()
    const hub = this.#places['hub']
    const hubUrl = hub?.url ?? `http://${plan.host}:${plan.hubPort}`
    return {
      hub: { url: hubUrl, consoleUrl: `${hubUrl}/console/`, nats: hub?.natsUrl ?? `nats://${plan.host}:${plan.natsPort}`, accounts: plan.hubAccounts.map(({ username, roles }) => ({ username, password, roles })) },
      hospitals: plan.hospitals.map((hospital) => {
        const place = this.#places[hospital.id]
        const url = place?.url ?? `http://${plan.host}:${hospital.httpPort}`
        return {
          id: hospital.id,
          name: hospital.name,
          kinds: hospital.kinds,
          url,
          viewerUrl: `${url}/viewer/`,
          dicom: { aeTitle: hospital.aeTitle, host: place?.dimseHost ?? plan.host, port: hospital.dicomPort },
          accounts: hospital.accounts.map(({ username, roles }) => ({ username, password, roles })),
        }
      }),
    }
  }

  /** One password for all demo accounts. */
  #password(): string {
    return this.#secret('password', 8)
  }

  /** Made once per region and kept beside its data, never in the repository. */
  #secret(name: string, length: number): string {
    const file = join(this.dir, name)
    if (existsSync(file)) return readFileSync(file, 'utf8').trim()
    const letters = 'abcdefghjkmnpqrstuvwxyz23456789'
    const secret = `Lp-${Array.from({ length }, () => letters[randomInt(letters.length)]).join('')}`
    writeFileSync(file, `${secret}\n`, { mode: 0o600 })
    return secret
  }

  #service(name: string, main: string, url: string): ServiceProcess {
    return new ServiceProcess({ name, main, args: ['--config', join(this.dir, name, 'config.json')], logFile: join(this.dir, 'logs', `${name}.log`), healthUrl: `${url}/health`, launcher: this.#places[name]?.launcher })
  }

  #writeConfiguration(): void {
    const { plan, dir, file } = this
    const hub = this.#places['hub']
    const limited = plan.searchesPerMinute !== undefined && { limits: { searchesPerMinute: plan.searchesPerMinute } }
    const write = (name: string, config: object) => {
      mkdirSync(join(dir, name), { recursive: true })
      writeFileSync(join(dir, name, 'config.json'), JSON.stringify(config, undefined, 2), { mode: 0o600 })
    }
    write('hub', {
      dir: '.',
      region: { id: plan.regionId, name: plan.regionName },
      // On networks of its own a demonstration region speaks plain HTTP; a hospital's configuration must say so, or give a certificate.
      http: { host: hub?.httpHost ?? plan.host, port: plan.hubPort, ...(hub && { plain: 'allowed' }), ...limited },
      nats: { url: `nats://${plan.host}:${plan.natsPort}`, publicUrl: file.hub.nats, adminDir: 'nats', storeDir: 'nats-store', listenHost: hub?.httpHost ?? plan.host },
      heartbeatMs: plan.heartbeatMs,
      logLevel: plan.logLevel,
      // Outside tools sign in with a password alone (.run/region.json); a hospital keeps the default.
      identity: { secondFactor: 'optional', password: { maxAgeDays: 0 } },
      accounts: plan.hubAccounts.map((account) => ({ ...account, password: file.hub.accounts.find(({ username }) => username === account.username)?.password })),
    })
    for (const hospital of plan.hospitals) {
      const { accounts, dicom } = this.hospital(hospital.id)
      write(hospital.id, {
        hospital: { id: hospital.id, name: hospital.name },
        dataFolder: './data',
        http: { host: this.#places[hospital.id]?.httpHost ?? plan.host, port: hospital.httpPort, ...(this.#places[hospital.id] && { plain: 'allowed' }), ...limited },
        dimse: { host: dicom.host, port: hospital.dicomPort, aeTitle: hospital.aeTitle },
        // The demonstration's DICOM peers are programs of this machine.
        outbound: { loopback: 'allowed' },
        region: { id: plan.regionId, heartbeatMs: plan.heartbeatMs, ...(hospital.natsUrl === undefined ? {} : { natsUrl: hospital.natsUrl }) },
        logLevel: plan.logLevel,
        identity: { secondFactor: 'optional', password: { maxAgeDays: 0 } },
        accounts: hospital.accounts.map((account) => ({ ...account, password: accounts.find(({ username }) => username === account.username)?.password })),
      })
    }
  }

  async #join(): Promise<void> {
    const admin = await this.signInToHub(this.plan.hubAccounts.find(({ roles }) => roles.includes('region-admin'))?.username)
    for (const hospital of this.plan.hospitals) {
      const hospitalAdmin = await this.signIn(hospital.id, this.#adminOf(hospital))
      if (await joinHospital(admin, hospitalAdmin, this.#registryEntry(hospital), this.#hubUrlOf(hospital.id))) this.#say(`${hospital.name} 已加入区域 has joined the region`)
    }
    await this.untilConnected(...this.plan.hospitals.map(({ id }) => id))
  }

  async #registerDicomPeers(): Promise<void> {
    for (const hospital of this.plan.hospitals) {
      const admin = await this.signIn(hospital.id, this.#adminOf(hospital))
      await registerDicomPeers(admin, this.plan)
    }
  }

  /** Waits until the named hospitals are connected to the hub. */
  async untilConnected(...ids: string[]): Promise<void> {
    for (const id of ids) {
      const admin = await this.signIn(id, this.#adminOf(this.#planOf(id)))
      const deadline = Date.now() + 30_000
      for (;;) {
        const status = await admin.get<LinkStatus>('/api/link')
        if (status.state === 'connected') break
        if (Date.now() > deadline) throw new Error(`${id} is not connected to the region: ${JSON.stringify(status)}\n${this.node(id).logTail()}`)
        await sleep(100)
      }
    }
  }

  #hubUrlOf(hospitalId: string): string {
    return this.#places[hospitalId]?.hubUrl ?? this.file.hub.url
  }

  #planOf(id: string): HospitalPlan {
    const found = this.plan.hospitals.find((hospital) => hospital.id === id)
    if (!found) throw new Error(`no hospital ${id} in this region`)
    return found
  }

  #adminOf(hospital: HospitalPlan): string {
    const found = hospital.accounts.find(({ roles }) => roles.includes('admin'))
    if (!found) throw new Error(`${hospital.id} needs an account with the role admin`)
    return found.username
  }

  #registryEntry({ id, name, code, kinds, taskTypes, flowModes }: HospitalPlan) {
    return { id, name, code, kinds, taskTypes, flowModes, agentAddress: this.hospital(id).url }
  }

  /** Removes all data of a region that is not running. */
  static erase(dir: string): void {
    rmSync(dir, { recursive: true, force: true })
  }
}
