import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import { jetstreamManager } from '@nats-io/jetstream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodePermissions, parseHospitalId, RegionId, subjects } from 'specs'
import { createLog } from 'service-kit'
import { startThrowAwayNats, type ThrowAwayNats } from '../../../service-kit/tests/support/nats.ts'
import { ensureNatsServer, startNatsServer } from '../../../scripts/nats-server.mjs'
import { NatsAdministration, prepareNats } from '../../src/nats/index.ts'

const region = RegionId.parse('yunling')
const [a, b] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-b')]
const log = createLog({ name: 'test', level: 'silent' })

let nats: ThrowAwayNats
let administration: NatsAdministration
beforeAll(async () => {
  nats = await startThrowAwayNats()
  administration = await NatsAdministration.open({ dir: nats.dir, natsUrl: nats.url, log })
})
afterAll(async () => {
  await administration.close()
  await nats.stop()
})

async function connectWith(credentials: string, inboxPrefix?: string): Promise<NatsConnection> {
  return connect({
    servers: nats.url,
    authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
    reconnect: false,
    ...(inboxPrefix ? { inboxPrefix } : {}),
  })
}
const connectNode = async (hospital: typeof a) => {
  const { credentials } = await administration.issueNode(region, hospital)
  return connectWith(credentials, nodePermissions(region, hospital).inboxPrefix)
}

/** The server's word about a subscription or publication it does not allow; undefined if it said nothing. */
async function refusalOf(connection: NatsConnection, act: () => void): Promise<string | undefined> {
  const statuses = connection.status()
  act()
  await connection.flush()
  const said = (async () => {
    for await (const status of statuses) if (status.type === 'error') return status.error.message
    return undefined
  })()
  const silence = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 150))
  return Promise.race([said, silence])
}

describe('what a node may do at the NATS server', () => {
  it('hears its own branch but not the branch of another hospital', async () => {
    // FED-05
    const node = await connectNode(a)
    expect(await refusalOf(node, () => node.subscribe(`region.${region}.${a}.>`, { callback: () => {} }))).toBeUndefined()
    expect(await refusalOf(node, () => node.subscribe(`region.${region}.${b}.>`, { callback: () => {} }))).toMatch(/permissions violation/i)
    expect(await refusalOf(node, () => node.subscribe('>', { callback: () => {} }))).toMatch(/permissions violation/i)
    expect(await refusalOf(node, () => node.subscribe(`_INBOX.${b}.>`, { callback: () => {} }))).toMatch(/permissions violation/i)
    await node.close()
  })

  it('cannot speak to the hub as another hospital, nor to a hospital as the hub', async () => {
    const node = await connectNode(a)
    expect(await refusalOf(node, () => node.publish(subjects.toHub(region, a), 'x'))).toBeUndefined()
    expect(await refusalOf(node, () => node.publish(subjects.toHub(region, b), 'x'))).toMatch(/permissions violation/i)
    expect(await refusalOf(node, () => node.publish(subjects.toNode(region, b), 'x'))).toMatch(/permissions violation/i)
    expect(await refusalOf(node, () => node.publish('$JS.API.STREAM.DELETE.yunling-to-hub', ''))).toMatch(/permissions violation/i)
    await node.close()
  })

  it('answers a request that arrived on its branch, at the reply subject of the asker', async () => {
    const [nodeA, nodeB] = [await connectNode(a), await connectNode(b)]
    nodeB.subscribe(`region.${region}.${b}.req.*.echo`, { callback: (_, message) => void message.respond(message.data) })
    await nodeB.flush()
    const answer = await nodeA.request(subjects.nodeRequest(region, b, a, 'echo'), 'hello', { timeout: 2_000 })
    expect(answer.string()).toBe('hello')
    await Promise.all([nodeA.close(), nodeB.close()])
  })

  it('gives the hub JetStream in the region account', async () => {
    const hub = await connectWith(nats.hubCredentials)
    const manager = await jetstreamManager(hub)
    const info = await manager.getAccountInfo()
    expect(info.limits.max_streams).toBe(-1)
    await hub.close()
  })
})

describe('revoking a node', () => {
  it('ends its live connection within seconds, keeps it out, and leaves the others connected', async () => {
    const [nodeA, nodeB] = [await connectNode(a), await connectNode(b)]
    const { credentials } = await administration.issueNode(region, a) // joined again: the first connection ends too
    await nodeA.closed()
    const rejoined = await connectWith(credentials)
    const asked = Date.now()
    expect(await administration.revokeNode(a)).toEqual({ pushed: true })
    await rejoined.closed()
    expect(Date.now() - asked).toBeLessThan(3_000)
    await expect(connectWith(credentials)).rejects.toThrow(/authorization/i)
    expect(nodeB.isClosed()).toBe(false)
    await nodeB.close()
  })

  it('outlives a server that comes back with an empty store, and one made while the server was away takes effect', async () => {
    const first = await administration.issueNode(region, a)
    const second = await administration.issueNode(region, b)
    await administration.revokeNode(a)
    await nats.kill()
    await nats.start({ emptyStore: true })
    await expect(connectWith(first.credentials)).rejects.toThrow(/authorization/i)
    await nats.kill()
    expect(await administration.revokeNode(b)).toEqual({ pushed: false })
    await nats.start()
    await expect
      .poll(
        async () =>
          connectWith(second.credentials).then(
            async (node) => (await node.close(), 'admitted'),
            () => 'refused',
          ),
        { timeout: 5_000 },
      )
      .toBe('refused')
  })
})

describe('preparing nats-server', () => {
  it('keeps keys and credentials when repeated, and private files are for the owner alone', async () => {
    const before = await readFile(join(nats.dir, 'hub.creds'), 'utf8')
    const seeds = await readFile(join(nats.dir, 'operator.seed'), 'utf8')
    await prepareNats({ dir: nats.dir, host: '127.0.0.1', port: nats.port, storeDir: join(nats.dir, '..', 'store') })
    expect(await readFile(join(nats.dir, 'hub.creds'), 'utf8')).toBe(before)
    expect(await readFile(join(nats.dir, 'operator.seed'), 'utf8')).toBe(seeds)
    for (const file of await readdir(nats.dir)) expect((await stat(join(nats.dir, file))).mode & 0o077, file).toBe(0)
  })

  it('names the port when another program holds it', async () => {
    await expect(startNatsServer({ path: await ensureNatsServer(), configFile: join(nats.dir, 'nats-server.conf') })).rejects.toThrow(
      `127.0.0.1:${nats.port}`,
    )
  })
})
