import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { AuditAction, type AuditEvent } from 'specs'
import { AuditConfig, createLog, SyslogConfig, SyslogFeeder, Trail } from '../../src/index.ts'

const run = promisify(execFile)
const schema = fileURLToPath(new URL('../support/atna.rng', import.meta.url))
const soon = { timeout: 20_000, interval: 100 }
const timing = { settleMs: 20, retryMs: 200 }

let folder: string
let trail: Trail
let collector: ChildProcess | undefined
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-syslog-'))
})
afterAll(() => rm(folder, { recursive: true }))
let runs = 0
beforeEach(async () => {
  const dir = join(folder, String(++runs))
  await mkdir(dir)
  trail = await Trail.open({ database: { dialect: 'sqlite', file: join(dir, 'audit.sqlite') }, settings: AuditConfig.parse({}), party: 'yunxi', keyFolder: join(dir, 'keys'), callers: [], log: createLog({ name: 'test', level: 'silent' }) })
})
afterEach(async () => {
  await trail.close()
  await stopCollector()
})

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A real collector, rsyslog, that writes each message as it came as one line of JSON. */
async function startCollector(port: number, out: string): Promise<void> {
  const config = join(folder, 'rsyslog.conf')
  await writeFile(
    config,
    `global(workDirectory="${folder}" maxMessageSize="64k")
module(load="imtcp") module(load="imudp")
template(name="asItCame" type="list" option.jsonf="on") {
  property(outname="msgid" name="msgid" format="jsonf") property(outname="app" name="app-name" format="jsonf") property(outname="msg" name="msg" format="jsonf") }
input(type="imtcp" address="127.0.0.1" port="${port}") input(type="imudp" address="127.0.0.1" port="${port}")
action(type="omfile" file="${out}" template="asItCame")
`,
  )
  collector = spawn('rsyslogd', ['-n', '-f', config, '-i', join(folder, 'rsyslog.pid')], { stdio: ['ignore', 'ignore', 'inherit'] })
}
async function stopCollector(): Promise<void> {
  if (!collector) return
  const ended = once(collector, 'close')
  collector.kill('SIGTERM')
  await ended
  collector = undefined
}
interface Received {
  readonly msgid: string
  readonly app: string
  readonly msg: string
}
async function received(out: string): Promise<Received[]> {
  const text = await readFile(out, 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as Received)
}
const event = (number: number): AuditEvent => ({ action: 'image.view', outcome: 'success', actor: { kind: 'user', id: 'wang', name: '王医生', sourceIp: '10.0.0.3' }, object: { type: 'study', id: `1.2.${number}`, patientKey: 'abc' } })
const studiesIn = (messages: readonly Received[]) => new Set(messages.flatMap(({ msg }) => /ParticipantObjectID="(1\.2\.\d+)"/.exec(msg)?.[1] ?? []))

describe('telling a collector', () => {
  it('reaches rsyslog over TCP, and what happened while it was away as soon as it is back', async () => {
    // SEC-08: DICOM/IHE ATNA output
    const port = await freePort()
    const out = join(folder, 'tcp.log')
    await startCollector(port, out)
    const feeder = await SyslogFeeder.start(trail, SyslogConfig.parse({ host: '127.0.0.1', port, transport: 'tcp' }), timing)
    for (let number = 1; number <= 20; number++) await trail.record(event(number))
    await vi.waitFor(async () => expect(studiesIn(await received(out)).size).toBe(20), soon)
    await stopCollector()
    for (let number = 21; number <= 50; number++) await trail.record(event(number))
    expect((await feeder.status()).waiting).toBeGreaterThan(0)
    await startCollector(port, out)
    await vi.waitFor(async () => expect(studiesIn(await received(out)).size).toBe(50), soon)
    await vi.waitFor(async () => expect(await feeder.status()).toEqual({ waiting: 0, since: null }), soon)
    const [first] = await received(out)
    expect(first).toMatchObject({ msgid: 'DICOM+RFC3881', app: 'lianpian-yunxi' })
    await feeder.stop()
  })

  it('reaches rsyslog over UDP', async () => {
    const port = await freePort()
    const out = join(folder, 'udp.log')
    await startCollector(port, out)
    await vi.waitFor(async () => {
      // UDP says nothing of a collector that is not there yet: TCP on the same port shows that it is.
      const { connect } = await import('node:net')
      const probe = connect(port, '127.0.0.1')
      await once(probe, 'connect').finally(() => probe.destroy())
    }, soon)
    const feeder = await SyslogFeeder.start(trail, SyslogConfig.parse({ host: '127.0.0.1', port, transport: 'udp' }), timing)
    for (let number = 1; number <= 5; number++) await trail.record(event(number))
    await vi.waitFor(async () => expect(studiesIn(await received(out)).size).toBe(5), soon)
    await feeder.stop()
  })

  it('reaches a collector over TLS whose certificate is good, and no other, with messages that the rules of PS3.15 A.5 accept, for every action', async () => {
    const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.pem')]
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=collector', '-addext', 'subjectAltName=IP:127.0.0.1'])
    const chunks: Buffer[] = []
    const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (socket) => void socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => undefined))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const stranger = await SyslogFeeder.start(trail, SyslogConfig.parse({ host: '127.0.0.1', port, transport: 'tls' }), timing)
    for (const action of AuditAction.options) await trail.record({ ...event(1), action, ...(action === 'access.refused' && { outcome: 'refused', code: 'access/no-grant' }) })
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(Buffer.concat(chunks)).toHaveLength(0)
    await stranger.stop()
    const feeder = await SyslogFeeder.start(trail, SyslogConfig.parse({ host: '127.0.0.1', port, transport: 'tls', caFile: cert }), timing)
    await vi.waitFor(async () => expect((await feeder.status()).waiting).toBe(0), soon)
    await feeder.stop()
    server.close()
    const messages = unframed(Buffer.concat(chunks))
    expect(messages).toHaveLength(AuditAction.options.length)
    const files = await Promise.all(
      messages.map(async (message, index) => {
        const file = join(folder, `message-${index}.xml`)
        await writeFile(file, message.slice(message.indexOf('<?xml')))
        return file
      }),
    )
    await run('xmllint', ['--noout', '--relaxng', schema, ...files]) // ends with an error at the first that is not valid
    const broken = join(folder, 'broken.xml')
    await writeFile(broken, (messages[0] ?? '').replace(/^[^]*<\?xml/, '<?xml').replace(/ EventOutcomeIndicator="\d"/, ''))
    await expect(run('xmllint', ['--noout', '--relaxng', schema, broken])).rejects.toThrow('EventIdentification failed to validate')
  })
})

/** Octet counting, RFC 5425 4.3. */
function unframed(bytes: Buffer): string[] {
  const messages: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.subarray(at, space).toString())
    messages.push(bytes.subarray(space + 1, space + 1 + length).toString('utf8'))
    at = space + 1 + length
  }
  return messages
}
