import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { jetstream } from '@nats-io/jetstream'
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import { createIntermediateCa, createRootCa, generateSm2KeyPair, type Identity, issueCertificate, loadIdentity, Sealer } from 'pki'
import { HUB, MessageId, nodePermissions, parseHospitalId, PROBLEM_HEADER, services, subjects } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connected, regionId, TestRegion } from '../support/region.ts'

const [a, b, x] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-b'), parseHospitalId('hospital-x')]
const patience = { timeout: 8_000, interval: 25 }
const day = 86_400_000

let region: TestRegion
let hub: Awaited<ReturnType<TestRegion['openHub']>>
let nodeA: Awaited<ReturnType<TestRegion['openNode']>>
let nodeB: Awaited<ReturnType<TestRegion['openNode']>>
/** Connections with the nodes' own NATS credentials, as a program that took them over would have. */
let wireA: NatsConnection
let wireB: NatsConnection
/** With the hub's credentials: the server's keeper himself. */
let wireHub: NatsConnection
const taken: { from: string; n: unknown }[] = []
const takenByA: unknown[] = []

beforeAll(async () => {
  region = await TestRegion.start()
  hub = await region.openHub()
  nodeA = await region.openNode(a)
  nodeB = await region.openNode(b)
  hub.link.onMessage('note', async (_tx, { from, body }) => void taken.push({ from, n: (body as { n: unknown }).n }))
  nodeA.link.onMessage('note', async (_tx, { body }) => void takenByA.push(body))
  hub.link.serve('echo', async ({ body }) => body)
  for (const { link } of [hub, nodeA, nodeB]) link.start()
  const dial = (credentials: string, inboxPrefix?: string) =>
    connect({
      servers: region.nats.url,
      authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
      ...(inboxPrefix ? { inboxPrefix } : {}),
    })
  wireA = await dial(nodeA.credentials, nodePermissions(regionId, a).inboxPrefix)
  wireB = await dial(nodeB.credentials, nodePermissions(regionId, b).inboxPrefix)
  wireHub = await dial(region.nats.hubCredentials)
  await Promise.all([connected(nodeA.link), connected(nodeB.link)])
})
afterAll(async () => {
  await Promise.all([wireA.close(), wireB.close(), wireHub.close()])
  await region.stop()
})

/** A message as node A would seal it; parts may be wrong. */
function sealed(
  options: { identity?: Identity; to?: typeof a | typeof HUB; seq?: number; sealedAt?: number; id?: MessageId; body?: string } = {},
): string {
  const { identity = region.identityOf(a), to = HUB, seq = 1_000, sealedAt } = options
  const sealer = new Sealer(identity, sealedAt === undefined ? {} : { now: () => sealedAt })
  const body = options.body ?? JSON.stringify({ seq, kind: 'note', body: { n: 'forged' } })
  return sealer.seal({ ...(options.id ? { id: options.id } : {}), recipients: [region.certificateOf(to)], body })
}

async function publishAsA(text: string): Promise<void> {
  await jetstream(wireA).publish(subjects.toHub(regionId, a), text)
}

let genuine = 0
/** The hub still serves A: a genuine message has its effect. */
async function expectNextGenuineServed(): Promise<void> {
  genuine += 1
  const n = genuine
  await nodeA.db.write(async (tx) => void (await nodeA.link.post(tx, HUB, 'note', { n })))
  await expect.poll(() => taken.at(-1), patience).toEqual({ from: a, n })
  expect(taken.some((note) => note.n === 'forged')).toBe(false)
}

/** What the hub refused since the last look, newest first. */
async function expectRefused(code: string): Promise<{ id: string; claimed: string; subject: string }> {
  await expect.poll(() => hub.refused.map((refusal) => refusal.code), patience).toContain(code)
  const [row] = (await hub.link.refusals()).filter((refusal) => refusal.code === code)
  hub.refused.length = 0
  return { id: row!.id, claimed: row!.source, subject: row!.subject }
}

/** An identity that calls itself hospital A, from a certificate authority of its own. */
function impostor(): Identity {
  const root = createRootCa({ name: '假根', days: 100 })
  const ca = createIntermediateCa(root, { name: '假区域', regionId, days: 90 })
  const pair = generateSm2KeyPair()
  const leaf = issueCertificate(ca, { party: a, organisation: '云溪县人民医院', regionId, publicKeyPem: pair.publicKeyPem }, { days: 30 })
  return loadIdentity({ certificateChain: [leaf, ca.certificatePem], privateKeyPem: pair.privateKeyPem })
}

describe('what the hub does not let in', () => {
  it('text that is no envelope, which a person can read afterwards', async () => {
    // SEC-11 AGT-06
    await publishAsA('{"header":"…"}')
    const refusal = await expectRefused('envelope/malformed')
    expect(refusal).toMatchObject({ claimed: a, subject: subjects.toHub(regionId, a) })
    expect(await hub.link.refusedText(refusal.id)).toBe('{"header":"…"}')
    await expectNextGenuineServed()
  })

  it('an envelope of somebody outside the region who calls himself A', async () => {
    // SEC-11
    await publishAsA(sealed({ identity: impostor() }))
    await expectRefused('certificate/untrusted')
    await expectNextGenuineServed()
  })

  it('an envelope that was altered', async () => {
    // SEC-11
    const text = JSON.parse(sealed()) as { header: string; ciphertext: string }
    const header = JSON.parse(Buffer.from(text.header, 'base64').toString('utf8')) as { sealedAt: number }
    text.header = Buffer.from(JSON.stringify({ ...header, sealedAt: header.sealedAt + 1 })).toString('base64')
    await publishAsA(JSON.stringify(text))
    await expectRefused('envelope/bad-signature')
    const other = JSON.parse(sealed()) as { ciphertext: string }
    const bytes = Buffer.from(other.ciphertext, 'base64')
    bytes[0] = bytes[0]! ^ 1
    await publishAsA(JSON.stringify({ ...other, ciphertext: bytes.toString('base64') }))
    await expectRefused('envelope/undecryptable')
    await expectNextGenuineServed()
  })

  it('an envelope that was published before', async () => {
    // SEC-11 AGT-06
    const copies: Uint8Array[] = []
    const tap = wireHub.subscribe(subjects.toHub(regionId, a), { callback: (_error, message) => void copies.push(message.data.slice()) })
    await wireHub.flush()
    await expectNextGenuineServed()
    tap.unsubscribe()
    await jetstream(wireA).publish(subjects.toHub(regionId, a), copies[0]!)
    await expectRefused('envelope/replayed')
    await expectNextGenuineServed()
  })

  it('an envelope that is too old, or for somebody else', async () => {
    // SEC-11
    await publishAsA(sealed({ sealedAt: Date.now() - 2 * day }))
    await expectRefused('envelope/expired')
    await publishAsA(sealed({ to: b }))
    await expectRefused('envelope/wrong-audience')
    await expectNextGenuineServed()
  })

  it("a genuine envelope of A that B publishes in B's own channel", async () => {
    // SEC-11 FED-05
    await jetstream(wireB).publish(subjects.toHub(regionId, b), sealed())
    expect(await expectRefused('envelope/wrong-sender')).toMatchObject({ claimed: b })
    await expectNextGenuineServed()
  })

  it('a message that is genuine but not of the agreed form, and a number that came before', async () => {
    await publishAsA(sealed({ body: JSON.stringify({ kind: 'note' }) }))
    await expectRefused('request/invalid')
    await publishAsA(sealed({ body: 'not JSON' }))
    await expectRefused('request/invalid')
    await publishAsA(sealed({ seq: 1, id: MessageId.parse(randomUUID()) }))
    await expectRefused('message/sequence-conflict')
    await expectNextGenuineServed()
  })

  it('large text only in part, and counts every refusal by its code', async () => {
    // SEC-11
    await publishAsA('文'.repeat(50_000))
    const { id } = await expectRefused('envelope/malformed')
    const kept = await hub.link.refusedText(id)
    expect(Buffer.byteLength(kept ?? '')).toBeGreaterThan(64_000)
    expect(Buffer.byteLength(kept ?? '')).toBeLessThanOrEqual(64 * 1024)
    const metrics = await hub.metrics.registry.metrics()
    expect(metrics).toMatch(/lianpian_link_refusals_total\{code="envelope\/malformed"\} 2/)
    expect(metrics).toMatch(/lianpian_link_refusals_total\{code="envelope\/replayed"\} 1/)
    expect((await hub.link.counts()).refusedMessages).toBe((await hub.link.refusals()).length)
  })

  it('an order other than that of the sender: what comes early has no effect, and each has it once', async () => {
    // AGT-06. Shown to fail with `take` for every number in decideReceive. The server itself turns the messages round, and repeats them.
    const y = parseHospitalId('hospital-y')
    const text = (seq: number) => sealed({ identity: region.identityOf(y), body: JSON.stringify({ seq, kind: 'note', body: { n: `y${seq}` } }) })
    const publish = (message: string) => jetstream(wireHub).publish(subjects.toHub(regionId, y), message)
    const ofY = () => taken.filter(({ from }) => from === y).map(({ n }) => n)
    const [first, second, third] = [text(1), text(2), text(3)]
    for (const message of [third, second, third]) await publish(message)
    await publish(first)
    await expect.poll(ofY, patience).toEqual(['y1'])
    for (const message of [first, text(3), second, first, third, second]) await publish(message)
    await expect.poll(ofY, patience).toEqual(['y1', 'y2', 'y3'])
    await expect.poll(async () => (await hub.link.refusals()).filter(({ source, code }) => source === y && code === 'envelope/replayed').length, patience).toBeGreaterThanOrEqual(3)
    expect(ofY()).toEqual(['y1', 'y2', 'y3'])
    hub.refused.length = 0
  })

  it('bytes that are no text', async () => {
    await jetstream(wireA).publish(subjects.toHub(regionId, a), new Uint8Array([0, 255, 254, 1]))
    const { id } = await expectRefused('envelope/malformed')
    expect(await hub.link.refusedText(id)).toBe('base64:AP/+AQ==')
    await expectNextGenuineServed()
  })
})

describe('what a node does not let in', () => {
  it('a message in its channel that the hub did not seal, even if the server itself delivers it', async () => {
    // SEC-11
    await jetstream(wireHub).publish(subjects.toNode(regionId, a), sealed({ identity: region.identityOf(b), to: a, seq: 1 }))
    await expect.poll(() => nodeA.refused.map(({ code }) => code), patience).toEqual(['envelope/wrong-sender'])
    await hub.db.write(async (tx) => void (await hub.link.post(tx, a, 'note', { n: 'from the hub' })))
    await expect.poll(() => takenByA, patience).toEqual([{ n: 'from the hub' }])
  })
})

describe('requests that are not let in', () => {
  const request = (service: string) => sealed({ body: JSON.stringify({ service, body: 'hello' }) })
  const askAsA = async (text: string, service = 'echo') => {
    const reply = await wireA.request(subjects.hubRequest(regionId, a, service), text, { timeout: 2_000 })
    return reply.headers?.get(PROBLEM_HEADER) ?? 'answered'
  }

  it('the same request a second time, or one sealed for another service', async () => {
    // SEC-11
    const text = request('echo')
    expect(await askAsA(text)).toBe('answered')
    expect(await askAsA(text)).toBe('envelope/replayed')
    expect(await askAsA(request(services.sync))).toBe('envelope/wrong-audience')
    expect(await askAsA('nonsense')).toBe('envelope/malformed')
    await expectRefused('envelope/replayed')
  })

  it('one whose answer is to go to a subject of the asker’s choice', async () => {
    // FED-05
    const subject = subjects.toNode(regionId, b)
    wireA.publish(subjects.hubRequest(regionId, a, 'echo'), request('echo'), { reply: subject })
    await expectRefused('request/invalid')
    expect(nodeB.refused).toEqual([])
    await expect(nodeA.link.request(HUB, 'echo', '还在')).resolves.toBe('还在')
  })
})

describe('a hospital whose certificate was revoked', () => {
  it('is refused by the hub at once, cut off by the server within seconds, and the others go on', async () => {
    // SEC-11 FED-05
    const nodeX = await region.openNode(x)
    const heard: string[] = []
    nodeX.link.onStatus(({ state, problem }) => heard.push(`${state} ${problem ?? ''}`.trim()))
    nodeX.link.start()
    await expect.poll(() => nodeX.link.status().state, patience).toBe('connected')
    hub.refused.length = 0
    region.revokeCertificate(x)
    await nodeX.db.write(async (tx) => void (await nodeX.link.post(tx, HUB, 'note', { n: 'late' })))
    await expectRefused('certificate/revoked')
    await expect.poll(() => nodeX.link.status(), patience).toMatchObject({ state: 'refused', problem: 'certificate/revoked' })
    expect(await region.administration.revokeNode(x)).toEqual({ pushed: true })
    await expect.poll(() => heard, patience).toContain('refused region/not-joined')
    expect(taken.some(({ n }) => n === 'late')).toBe(false)
    await expectNextGenuineServed()
  })
})
