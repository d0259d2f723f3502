import { copyFile } from 'node:fs/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, credsAuthenticator } from '@nats-io/transport-node'
import { HUB, parseHospitalId, type PartyId, Problem, streams, subjects } from 'specs'
import type { Database, Link } from 'service-kit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startLineCutter } from '../support/line-cutter.ts'
import { regionId, TestRegion, testTiming } from '../support/region.ts'

const [a, c] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-c')]

let region: TestRegion
beforeEach(async () => {
  region = await TestRegion.start()
})
afterEach(async () => {
  await region.stop()
})

/** Sends `n` numbered notes, each with a commit of its own. */
async function postNotes(sender: { link: Link; db: Database }, to: PartyId, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) await sender.db.write(async (tx) => void (await sender.link.post(tx, to, 'note', { n })))
}

/** Keeps the notes a party takes in its database, so that they are subject to its transactions. */
async function keepNotes(receiver: { link: Link; db: Database }): Promise<() => Promise<number[]>> {
  await receiver.db.migrate('test', [
    { name: 'notes', up: ['CREATE TABLE note (place INTEGER PRIMARY KEY, sender TEXT NOT NULL, n INTEGER NOT NULL)'] },
  ])
  receiver.link.onMessage('note', async (tx, { from, body }) => {
    const { n } = body as { n: number }
    await tx.run('INSERT INTO note (place, sender, n) SELECT COALESCE(MAX(place), 0) + 1, $1, $2 FROM note', [from, n])
  })
  return async () => (await receiver.db.all<{ n: number }>('SELECT n FROM note ORDER BY place')).map(({ n }) => n)
}
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
const patience = { timeout: 8_000, interval: 25 }

describe('messages between hospitals and hub', () => {
  it('go from A through the hub to C in order, and are known as delivered at A', async () => {
    // FED-04 AGT-06 AGT-07 CON-18
    const [hub, nodeA, nodeC] = [await region.openHub(), await region.openNode(a), await region.openNode(c)]
    const notes = await keepNotes(nodeC)
    hub.link.onMessage('note', async (tx, { from, body }) => {
      expect(from).toBe(a)
      await hub.link.post(tx, c, 'note', body)
    })
    for (const { link } of [hub, nodeA, nodeC]) link.start()
    await postNotes(nodeA, HUB, 1, 30)
    await expect.poll(notes, patience).toEqual(upTo(30))
    await expect.poll(() => nodeA.link.messages({ direction: 'out', state: 'delivered' }), patience).toHaveLength(30)
    expect(nodeA.link.status()).toMatchObject({ state: 'connected', problem: null })
    expect(await nodeA.link.counts()).toEqual({ pendingMessages: 0, refusedMessages: 0 })
  })

  it('exist only together with the fact they tell of', async () => {
    // AGT-15
    const nodeA = await region.openNode(a)
    const failing = nodeA.db.write(async (tx) => {
      await nodeA.link.post(tx, HUB, 'note', { n: 1 })
      throw new Error('the fact could not be saved')
    })
    await expect(failing).rejects.toThrow('could not be saved')
    expect(await nodeA.link.messages()).toEqual([])
    const large = nodeA.db.write((tx) => nodeA.link.post(tx, HUB, 'note', 'x'.repeat(3_000_000)))
    await expect(large).rejects.toMatchObject({ code: 'request/too-large' })
  })

  it('wait without a server, survive the end of the process, and leave in order when the server is there', async () => {
    // AGT-15 AGT-16
    await region.nats.kill()
    const hub = await region.openHub()
    const notes = await keepNotes(hub)
    hub.link.start()
    const before = await region.openNode(a)
    before.link.start()
    await postNotes(before, HUB, 1, 10)
    await region.close(before)
    const after = await region.openNode(a)
    after.link.start()
    await postNotes(after, HUB, 11, 10)
    expect((await after.link.counts()).pendingMessages).toBe(20)
    await region.nats.start()
    await expect.poll(notes, patience).toEqual(upTo(20))
  })

  it('pass a line that is cut again and again, both ways, once and in order', async () => {
    // AGT-06 AGT-16 CON-18
    const cutter = await startLineCutter(region.nats.port)
    const hub = await region.openHub()
    const nodeA = await region.openNode(a, { natsUrl: cutter.url })
    const [atHub, atA] = [await keepNotes(hub), await keepNotes(nodeA)]
    hub.link.start()
    nodeA.link.start()
    for (let round = 0; round < 3; round++) {
      const sent = Promise.all([postNotes(nodeA, HUB, round * 25 + 1, 25), postNotes(hub, a, round * 25 + 1, 25)])
      await new Promise((resolve) => setTimeout(resolve, 60))
      cutter.cut()
      await sent
      cutter.restore()
      await expect.poll(() => nodeA.link.status().state, patience).toBe('connected')
    }
    await expect.poll(atHub, patience).toEqual(upTo(75))
    await expect.poll(atA, patience).toEqual(upTo(75))
    await cutter.close()
  })

  it('come again when the line looks alive and carries nothing', async () => {
    // AGT-16
    const cutter = await startLineCutter(region.nats.port)
    const hub = await region.openHub()
    const nodeA = await region.openNode(a, { natsUrl: cutter.url, timing: { ...testTiming, answerTimeoutMs: 400 } })
    const notes = await keepNotes(nodeA)
    hub.link.start()
    nodeA.link.start()
    await expect.poll(() => nodeA.link.status().state, patience).toBe('connected')
    cutter.stall()
    await postNotes(hub, a, 1, 5)
    await expect.poll(() => nodeA.link.status(), patience).toMatchObject({ state: 'disconnected', problem: 'region/hub-unreachable' })
    cutter.restore()
    await expect.poll(notes, patience).toEqual(upTo(5))
    await cutter.close()
  })

  it('survive a server that is killed and comes back without its store', async () => {
    // AGT-15 AGT-16
    const [hub, nodeA, nodeC] = [await region.openHub(), await region.openNode(a), await region.openNode(c)]
    const notes = await keepNotes(nodeC)
    hub.link.onMessage('note', async (tx, { body }) => void (await hub.link.post(tx, c, 'note', body)))
    for (const { link } of [hub, nodeA]) link.start()
    nodeC.link.start()
    await postNotes(nodeA, HUB, 1, 10)
    await expect.poll(notes, patience).toEqual(upTo(10))
    await region.close(nodeC) // so that the next ones are held by the server alone
    await postNotes(nodeA, HUB, 11, 10)
    const heldByServer = async () =>
      (await hub.link.messages({ direction: 'out', state: 'published' })).filter(({ seq }) => seq !== null && seq > 10)
    await expect.poll(heldByServer, patience).toHaveLength(10)
    await region.nats.kill()
    await postNotes(nodeA, HUB, 21, 10)
    await region.nats.start({ emptyStore: true })
    const again = await region.openNode(c)
    const notesAgain = await keepNotes(again)
    again.link.start()
    await expect.poll(notesAgain, patience).toEqual(upTo(30))
  })

  it('are resent when the server loses one that it had acknowledged', async () => {
    // AGT-16
    const [hub, nodeC] = [await region.openHub(), await region.openNode(c)]
    hub.link.start()
    nodeC.link.start()
    await expect.poll(() => nodeC.link.status().state, patience).toBe('connected')
    await region.close(nodeC)
    await postNotes(hub, c, 1, 5)
    await expect.poll(() => hub.link.messages({ direction: 'out', state: 'published' }), patience).toHaveLength(5)
    const nats = await connect({
      servers: region.nats.url,
      authenticator: credsAuthenticator(new TextEncoder().encode(region.nats.hubCredentials)),
    })
    const manager = await jetstreamManager(nats)
    const { state } = await manager.streams.info(streams.toNodes(regionId))
    await manager.streams.deleteMessage(streams.toNodes(regionId), state.first_seq + 2)
    await nats.close()
    const again = await region.openNode(c)
    const notes = await keepNotes(again)
    again.link.start()
    await expect.poll(notes, patience).toEqual(upTo(5))
  })

  it('are taken once although published twice', async () => {
    // AGT-06
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    const notes = await keepNotes(hub)
    hub.link.start()
    await postNotes(nodeA, HUB, 1, 3)
    nodeA.link.start()
    await expect.poll(notes, patience).toEqual(upTo(3))
    // As a crash between the hub's commit and the node's knowledge of it would leave it.
    await region.close(nodeA)
    const again = await region.openNode(a)
    await again.db.run(`UPDATE outbox SET state = 'pending'`)
    await again.db.run('UPDATE link_peer SET delivered_up_to = 0')
    await postNotes(again, HUB, 4, 1)
    again.link.start()
    await expect.poll(notes, patience).toEqual(upTo(4))
    expect(hub.refused).toEqual([])
  })

  it('are served again by a hub and a node that were restarted in the middle', async () => {
    // AGT-16
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    await keepNotes(hub)
    hub.link.start()
    nodeA.link.start()
    const sent = postNotes(nodeA, HUB, 1, 60)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await region.close(hub)
    await sent
    await region.close(nodeA)
    const hubAgain = await region.openHub()
    const notes = await keepNotes(hubAgain)
    hubAgain.link.start()
    ;(await region.openNode(a)).link.start()
    await expect.poll(notes, patience).toEqual(upTo(60))
  })

  it('flow when more wait than are ever under way at once', async () => {
    // AGT-15
    const hub = await region.openHub()
    const notes = await keepNotes(hub)
    const nodeA = await region.openNode(a)
    await nodeA.db.write(async (tx) => {
      for (const n of upTo(700)) await nodeA.link.post(tx, HUB, 'note', { n })
    })
    hub.link.start()
    nodeA.link.start()
    await expect.poll(async () => (await notes()).length, { timeout: 30_000, interval: 100 }).toBe(700)
    expect(await notes()).toEqual(upTo(700))
  })
})

describe('a party restored from an older backup', () => {
  it('as receiver gets again what it lost; as sender loses none of its new messages', async () => {
    // AGT-16
    const hub = await region.openHub()
    await keepNotes(hub)
    const nodeA = await region.openNode(a)
    await keepNotes(nodeA)
    for (const { link } of [hub, nodeA]) link.start()
    await postNotes(nodeA, HUB, 1, 5)
    await postNotes(hub, a, 1, 5)
    await expect.poll(() => nodeA.link.messages({ state: 'delivered' }), patience).toHaveLength(5)
    await expect.poll(() => hub.link.messages({ state: 'delivered' }), patience).toHaveLength(5)
    await region.close(hub)
    const file = region.databaseFile(HUB)
    await copyFile(file, `${file}.backup`)

    const later = await region.openHub()
    const before = await keepNotes(later)
    later.link.start()
    await postNotes(nodeA, HUB, 6, 5)
    await postNotes(later, a, 6, 5)
    await expect.poll(before, patience).toEqual(upTo(10))
    await expect.poll(() => later.link.messages({ state: 'delivered' }), patience).toHaveLength(10)
    await region.close(later)
    await copyFile(`${file}.backup`, file)

    const restored = await region.openHub()
    const [atHub, atA] = [await keepNotes(restored), () => nodeA.db.all<{ n: number }>('SELECT n FROM note ORDER BY place')]
    await postNotes(restored, a, 101, 8) // numbered 6 to 13 here; A remembers others under 6 to 10
    restored.link.start()
    await expect.poll(atHub, patience).toEqual(upTo(10))
    await expect.poll(async () => (await atA()).map(({ n }) => n), patience).toEqual([...upTo(10), 101, 102, 103, 104, 105, 106, 107, 108])
  })
})

describe('a message whose handler fails', () => {
  it('is shown with its problem, does not hold up the next, and can be retried', async () => {
    // AGT-07
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    const taken: unknown[] = []
    let broken = true
    let runs = 0
    hub.link.onMessage('refused', async () => {
      if (broken) throw new Problem('consult/not-open', { state: 'signed' })
    })
    hub.link.onMessage('buggy', async () => {
      runs += 1
      if (broken) throw new Error('a fault of ours')
    })
    hub.link.onMessage('note', async (_tx, { body }) => void taken.push(body))
    for (const { link } of [hub, nodeA]) link.start()
    await nodeA.db.write(async (tx) => {
      for (const kind of ['refused', 'buggy', 'unheard-of', 'note']) await nodeA.link.post(tx, HUB, kind, { kind })
    })
    await expect.poll(() => taken, patience).toEqual([{ kind: 'note' }])
    const failed = await hub.link.messages({ state: 'failed' })
    expect(failed.map((row) => [row.kind, row.attempts, row.problem?.code]).sort()).toEqual([
      ['buggy', 3, 'service/internal'],
      ['refused', 1, 'consult/not-open'],
      ['unheard-of', 1, 'message/unknown-kind'],
    ])
    const [first] = await nodeA.db.all<{ id: never }>(`SELECT id FROM outbox WHERE kind = 'buggy'`)
    await expect(hub.link.retry(first!.id)).rejects.toThrow('a fault of ours')
    broken = false
    await hub.link.retry(first!.id)
    expect(runs).toBe(5)
    expect(await hub.link.messages({ state: 'failed' })).toHaveLength(2)
    await expect(hub.link.retry(first!.id)).rejects.toMatchObject({ code: 'message/not-failed' })
  })
})

describe('an answer', () => {
  it('tells the sender with the id of its message that it could not be processed, until a retry succeeds', async () => {
    // AGT-07
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    let isBroken = true
    for (const each of [hub, nodeA]) {
      each.link.onMessage('order', async () => {
        if (isBroken) throw new Problem('consult/not-open', { state: 'signed' })
      })
      each.link.start()
    }
    const send = (from: { link: Link; db: Database }, to: PartyId) => from.db.write((tx) => from.link.post(tx, to, 'order', {}))
    const [toHub, toNode] = [await send(nodeA, HUB), await send(hub, a)]
    for (const [sender, { id }] of [[nodeA, toHub], [hub, toNode]] as const) {
      const failed = { id, kind: 'order', state: 'failed-there', problem: 'consult/not-open', attempts: 1 }
      await expect.poll(() => sender.link.unanswered(), patience).toMatchObject([failed])
      await expect(sender.link.retry(id)).rejects.toMatchObject({ code: 'consult/not-open' })
    }
    isBroken = false
    for (const [sender, { id }] of [[nodeA, toHub], [hub, toNode]] as const) {
      await sender.link.retry(id)
      await expect.poll(() => sender.link.unanswered(), patience).toEqual([])
      await expect(sender.link.retry(id)).rejects.toMatchObject({ code: 'message/not-failed' })
    }
    expect(await hub.link.messages({ direction: 'in' })).toMatchObject([{ id: toHub.id, state: 'done' }])
  })

  it('that nobody gives is waited for visibly, and tried at once when somebody asks for it', async () => {
    // AGT-07, AGT-15
    await region.nats.kill()
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a, { timing: { ...testTiming, reconnectFirstMs: 60_000, reconnectMaxMs: 60_000 } })]
    const notes = await keepNotes(hub)
    hub.link.start()
    nodeA.link.start()
    await postNotes(nodeA, HUB, 1, 2)
    await expect.poll(() => nodeA.link.status(), patience).toMatchObject({ state: 'disconnected', problem: 'region/hub-unreachable', failures: 1 })
    expect(await nodeA.link.unanswered()).toMatchObject([
      { seq: 1, state: 'pending', attempts: 0, lastTriedAt: null, problem: 'region/hub-unreachable' },
      { seq: 2, state: 'pending' },
    ])
    nodeA.link.tryNow()
    await expect.poll(() => nodeA.link.status().failures, patience).toBe(2)
    await region.nats.start()
    await expect.poll(() => hub.link.status().state, patience).toBe('connected')
    const [waiting] = await nodeA.link.unanswered()
    await nodeA.link.retry(waiting!.id) // otherwise in a minute
    await expect.poll(notes, patience).toEqual([1, 2])
    await expect.poll(() => nodeA.link.unanswered(), patience).toEqual([])
    expect(nodeA.link.status()).toMatchObject({ state: 'connected', failures: 0 })
  })
})

describe('ending a link', () => {
  it('finishes the message being handled, once', async () => {
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    let begun = 0
    hub.link.onMessage('slow', async () => {
      begun += 1
      await new Promise((resolve) => setTimeout(resolve, 300))
    })
    for (const { link } of [hub, nodeA]) link.start()
    await nodeA.db.write(async (tx) => void (await nodeA.link.post(tx, HUB, 'slow', {})))
    await expect.poll(() => begun, patience).toBe(1)
    await region.close(hub)
    const again = await region.openHub()
    again.link.onMessage('slow', async () => void (begun += 1))
    again.link.start()
    await expect.poll(() => nodeA.link.messages({ state: 'delivered' }), patience).toHaveLength(1)
    expect(begun).toBe(1)
  })

  it('leaves nothing behind in the work queues', async () => {
    const [hub, nodeA] = [await region.openHub(), await region.openNode(a)]
    const notes = await keepNotes(hub)
    for (const { link } of [hub, nodeA]) link.start()
    await postNotes(nodeA, HUB, 1, 20)
    await expect.poll(notes, patience).toEqual(upTo(20))
    const nats = await connect({
      servers: region.nats.url,
      authenticator: credsAuthenticator(new TextEncoder().encode(region.nats.hubCredentials)),
    })
    const manager = await jetstreamManager(nats)
    await expect
      .poll(
        async () => (await manager.streams.info(streams.toHub(regionId), { subjects_filter: subjects.allToHub(regionId) })).state.messages,
        patience,
      )
      .toBe(0)
    await nats.close()
  })
})
