import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { connect as connectPlain, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { connect, credsAuthenticator } from '@nats-io/transport-node'
import { createTlsAuthority } from 'pki'
import { createLog, natsTlsOptions } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseHospitalId, RegionId } from 'specs'
import { ensureNatsServer, natsServerVersion, startNatsServer } from '../../../scripts/nats-server.mjs'
import { NatsAdministration, NatsCertificate, prepareNats, readNatsCa } from '../../src/nats/index.ts'
import { aSafe } from '../support/safe.ts'
import { ensureNatsTls, isNatsTlsOn, natsTlsFiles } from '../../src/nats/tls.ts'

const log = createLog({ name: 'test', level: 'silent' })
let root: string
let dir: string
let port: number
let server: ChildProcess
let credentials: string
let ca: string

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lianpian-nats-tls-'))
  dir = join(root, 'hub')
  port = await freePort()
  const path = await ensureNatsServer()
  const prepared = await prepareNats({ dir, host: '127.0.0.1', port, storeDir: join(root, 'store'), tls: 'on', serverVersion: await natsServerVersion(path) })
  server = await startNatsServer({ path, configFile: prepared.configFile })
  credentials = prepared.hubCredentials ?? ''
  ca = await readNatsCa(dir)
})
afterAll(async () => {
  const ended = once(server, 'exit')
  server.kill('SIGKILL')
  await ended
  await rm(root, { recursive: true })
})

const meet = async (natsUrl: string, trust: { natsUrl: string; natsCa?: string }) => {
  const connection = await connect({ servers: natsUrl, reconnect: false, timeout: 3_000, authenticator: credsAuthenticator(new TextEncoder().encode(credentials)), ...natsTlsOptions(trust) })
  await connection.flush()
  await connection.close()
  return 'met'
}
const address = () => `tls://127.0.0.1:${port}`

describe('the NATS server of a region', () => {
  it('speaks TLS to whoever was given its root, by whatever address', async () => { // SEC-11
    expect(await meet(address(), { natsUrl: address(), natsCa: ca })).toBe('met')
    // By a relay's name, which no certificate holds: what counts is the one name that the region's root certifies.
    expect(await meet(`nats://127.0.0.1:${port}`, { natsUrl: 'tls://relay.hospital.example:4222', natsCa: ca })).toBe('met')
    const administration = await NatsAdministration.open({ dir, natsUrl: address(), natsCa: ca, log })
    expect((await administration.issueNode(RegionId.parse('yunling'), parseHospitalId('hospital-a'))).credentials).toContain('BEGIN NATS USER JWT')
    await administration.close()
  })

  it('is not believed with the root of somebody else, nor with the roots of the system', async () => { // SEC-11
    const { certificatePem } = createTlsAuthority({ name: 'somebody else', days: 1 })
    await expect(meet(address(), { natsUrl: address(), natsCa: certificatePem })).rejects.toThrow()
    await expect(meet(address(), { natsUrl: address() })).rejects.toThrow()
  })

  it('takes nobody in the clear', async () => { // SEC-11
    const socket = new Promise<string>((resolve, reject) => {
      const plain: Socket = createConnection()
      let said = ''
      plain.setEncoding('utf8').on('data', (text: string) => (said += text))
      plain.on('close', () => resolve(said))
      plain.on('error', reject)
      plain.write('CONNECT {"verbose":true,"pedantic":false,"tls_required":false}\r\nPING\r\n')
    })
    const said = await socket
    expect(said).toContain('"tls_required":true')
    expect(said).not.toContain('PONG')
  })

  it('speaks no version before TLS 1.2', async () => { // SEC-09
    const versionWith = (options: ConnectionOptions) =>
      new Promise<string>((resolve, reject) => {
        const plain = createConnection()
        plain.once('data', () => {
          const tls = connectTls({ socket: plain, ca, servername: 'nats.lianpian.internal', ...options }, () => {
            resolve(tls.getProtocol() ?? '')
            tls.destroy()
          })
          tls.on('error', reject)
        })
      })
    expect(await versionWith({})).toBe('TLSv1.3')
    expect(await versionWith({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2')
    await expect(versionWith({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow()
  })

  it('cannot be played by a server in between that offers no TLS: the node leaves before saying who it is', async () => { // SEC-11
    let heard = ''
    const impostor = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.setEncoding('utf8').on('data', (text: string) => (heard += text))
      socket.write('INFO {"server_id":"X","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576,"nonce":"abc"}\r\n')
    }).listen(0, '127.0.0.1')
    await once(impostor, 'listening')
    const at = impostor.address()
    const url = `tls://127.0.0.1:${typeof at === 'object' && at ? at.port : 0}`
    await expect(meet(url, { natsUrl: url, natsCa: ca })).rejects.toThrow(/tls/i)
    expect(heard).not.toContain('CONNECT')
    impostor.close()
  })
})

describe('the TLS certificate of the NATS server', () => {
  it('is renewed while the server runs, and whoever must act hears so until the server shows the new one', async () => { // SEC-11
    const names: string[] = []
    let asked = 0
    const watch = new NatsCertificate({ dir, natsUrl: address(), names, safe: aSafe(), reload: async () => { asked++; return false }, log })
    await watch.look()
    const first = watch.state
    expect([first.waitsForReload, asked, Math.round(((first.expires ?? 0) - Date.now()) / 86_400_000)]).toEqual([false, 0, 397])
    // What makes it due does not matter here; that time does, the unit of renewal below shows with a clock.
    names.push('relay.example')
    await watch.look()
    expect([watch.state, asked]).toEqual([{ expires: first.expires, waitsForReload: true }, 1])
    expect(await meet(address(), { natsUrl: address(), natsCa: ca })).toBe('met')
    server.kill('SIGHUP')
    await vi.waitFor(async () => {
      await watch.look()
      expect(watch.state.waitsForReload).toBe(false)
    }, { timeout: 10_000, interval: 200 })
    expect(await meet(address(), { natsUrl: address(), natsCa: ca })).toBe('met')
    // The root's key lies sealed from the first look on; preparing the server again keeps what it holds and needs no key.
    expect(await readFile(natsTlsFiles(dir).ca.privateKey, 'utf8')).not.toContain('PRIVATE KEY')
    const certificate = await readFile(natsTlsFiles(dir).server.certificate, 'utf8')
    await ensureNatsTls(dir, ['a.new.name.example'])
    expect(await readFile(natsTlsFiles(dir).server.certificate, 'utf8')).toBe(certificate)
  })

  it('is unknown, not assumed, while the server cannot be reached', async () => {
    const watch = new NatsCertificate({ dir: join(root, 'away'), natsUrl: `tls://127.0.0.1:${await freePort()}`, names: [], safe: aSafe(), reload: async () => false, log })
    await watch.look()
    expect(watch.state).toEqual({ expires: null, waitsForReload: false })
  })

  it('stays over repeated preparations, is renewed in time, and its root never changes', async () => {
    const folder = join(root, 'kept')
    const read = async () => Promise.all([natsTlsFiles(folder).ca, natsTlsFiles(folder).server].map(({ certificate }) => readFile(certificate, 'utf8')))
    await ensureNatsTls(folder, ['hub.example'])
    const [ca1, server1] = await read()
    await ensureNatsTls(folder, ['hub.example'])
    expect(await read()).toEqual([ca1, server1])
    await ensureNatsTls(folder, ['other.example'])
    const [, server2] = await read()
    expect(server2).not.toBe(server1)
    await ensureNatsTls(folder, ['other.example'], { now: Date.now() + 320 * 86_400_000 })
    const [ca3, server3] = await read()
    expect([ca3 === ca1, server3 === server2]).toEqual([true, false])
    for (const { privateKey } of [natsTlsFiles(folder).ca, natsTlsFiles(folder).server]) expect((await stat(privateKey)).mode & 0o077).toBe(0)
    await rm(natsTlsFiles(folder).ca.privateKey)
    await expect(ensureNatsTls(folder, ['other.example'])).rejects.toThrow(/ca\.key\.pem is missing/)
  })

  it('is asked for wherever others than this machine can reach the server', () => { // SEC-09
    expect(['127.0.0.1', '::1', 'localhost'].map((host) => isNatsTlsOn('auto', host))).toEqual([false, false, false])
    expect(['0.0.0.0', '10.1.2.3', 'nats'].map((host) => isNatsTlsOn('auto', host))).toEqual([true, true, true])
    expect([isNatsTlsOn('off', '0.0.0.0'), isNatsTlsOn('on', '127.0.0.1')]).toEqual([false, true])
  })
})

const createConnection = (): Socket => connectPlain(port, '127.0.0.1')
