import { randomBytes } from 'node:crypto'
import { connect, credsAuthenticator } from '@nats-io/transport-node'
import { HUB, parseHospitalId, Problem } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connected, TestRegion } from '../support/region.ts'

const [a, c, away] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-c'), parseHospitalId('hospital-away')]

let region: TestRegion
let hub: Awaited<ReturnType<TestRegion['openHub']>>
let nodeA: Awaited<ReturnType<TestRegion['openNode']>>
let nodeC: Awaited<ReturnType<TestRegion['openNode']>>
beforeAll(async () => {
  region = await TestRegion.start()
  hub = await region.openHub()
  nodeA = await region.openNode(a)
  nodeC = await region.openNode(c)
  nodeA.link.serve('exam.read', async ({ from, body }) => ({ from, body, patient: '张三丰' }))
  nodeA.link.serve('exam.refuse', async () => {
    throw new Problem('access/grant-expired', { grantId: 'g-1' })
  })
  nodeA.link.serve('exam.break', async () => {
    throw new Error('a fault with details that stay at home')
  })
  nodeA.link.serve('exam.slow', () => new Promise((resolve) => setTimeout(resolve, 2_000, 'late')))
  nodeA.link.serveBytes('transfer.piece', async (bytes, from) => {
    if (bytes.length === 0) throw new Problem('transfer/unknown-session')
    expect(from).toBe(c)
    return bytes.map((byte) => byte ^ 0xff)
  })
  for (const { link } of [hub, nodeA, nodeC]) link.start()
  await Promise.all([connected(nodeA.link), connected(nodeC.link)])
})
afterAll(() => region.stop())

describe('asking another hospital', () => {
  it('brings its answer back, and nothing readable crosses the server on the way', async () => {
    // SEC-11 FED-05
    const wire = await connect({
      servers: region.nats.url,
      authenticator: credsAuthenticator(new TextEncoder().encode(region.nats.hubCredentials)),
    })
    const seen: string[] = []
    wire.subscribe('>', { callback: (_error, message) => void seen.push(message.string()) })
    await wire.flush()
    const answer = await nodeC.link.request(a, 'exam.read', { accessionNumber: 'CT20261122' })
    expect(answer).toEqual({ from: c, body: { accessionNumber: 'CT20261122' }, patient: '张三丰' })
    await wire.flush()
    expect(seen.length).toBeGreaterThanOrEqual(2)
    expect(seen.join()).not.toMatch(/张三丰|CT20261122/)
    await wire.close()
  })

  it('brings its refusal back as the same problem, and only the code of a fault', async () => {
    // AGT-07
    await expect(nodeC.link.request(a, 'exam.refuse', {})).rejects.toMatchObject({
      code: 'access/grant-expired',
      facts: { grantId: 'g-1' },
    })
    await expect(nodeC.link.request(a, 'exam.break', {})).rejects.toMatchObject({ code: 'service/internal', facts: {} })
    await expect(nodeC.link.request(a, 'exam.unheard-of', {})).rejects.toMatchObject({ code: 'request/not-found' })
  })

  it('ends in a clear problem when nobody answers', async () => {
    region.identityOf(away)
    await expect(nodeC.link.request(away, 'exam.read', {})).rejects.toMatchObject({ code: 'region/unknown-hospital' })
    const nodeAway = await region.openNode(away) // joined, but its agent is not running
    await expect(nodeC.link.request(away, 'exam.read', {})).rejects.toMatchObject({ code: 'region/hospital-offline' })
    await expect(nodeC.link.request(a, 'exam.slow', {}, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'region/hospital-offline' })
    await expect(nodeAway.link.request(HUB, 'sync', {})).rejects.toMatchObject({ code: 'region/hub-unreachable' })
  })

  it('moves pieces of a megabyte as they are, and their problems by code', async () => {
    const piece = new Uint8Array(randomBytes(1024 * 1024 + 128))
    const pieces = await Promise.all([1, 2, 3, 4].map(() => nodeC.link.requestBytes(a, 'transfer.piece', piece)))
    for (const back of pieces) expect(back.every((byte, at) => byte === (piece[at]! ^ 0xff))).toBe(true)
    await expect(nodeC.link.requestBytes(a, 'transfer.piece', new Uint8Array())).rejects.toMatchObject({ code: 'transfer/unknown-session' })
  })
})

describe('content sealed inside a message', () => {
  it('opens for those it was sealed for and for nobody else, the hub included', () => {
    // SEC-11
    const text = nodeA.link.sealFor([c, a], { question: '右肺结节性质？' })
    expect(nodeC.link.openSealed(text, { from: a })).toEqual({ question: '右肺结节性质？' })
    expect(nodeA.link.openSealed(text, { from: a })).toEqual({ question: '右肺结节性质？' })
    expect(() => hub.link.openSealed(text, { from: a })).toThrow('envelope/wrong-audience')
    expect(() => nodeC.link.openSealed(text, { from: away })).toThrow('envelope/wrong-sender')
  })
})
