import { HUB, parseHospitalId } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TestRegion } from '../support/region.ts'

const [a, c] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-c')]

let region: TestRegion
beforeEach(async () => {
  region = await TestRegion.start()
})
afterEach(async () => {
  await region.stop()
})

describe('smoke', () => {
  it('goes around', async () => {
    const hub = await region.openHub()
    const nodeA = await region.openNode(a)
    const nodeC = await region.openNode(c)
    const arrived: unknown[] = []
    hub.link.onMessage('ping', async (tx, { from, body }) => void (await hub.link.post(tx, c, 'pong', { from, body })))
    nodeC.link.onMessage('pong', async (_tx, { body }) => void arrived.push([body, performance.now() - (body as {body: {t: number}}).body.t]))
    for (const { link } of [hub, nodeA, nodeC]) link.start()
    for (let i = 0; i < 50; i++) {
      await nodeA.db.write(async (tx) => { await nodeA.link.post(tx, HUB, 'ping', { i, t: performance.now() }) })
      await new Promise((r) => setTimeout(r, 40))
    }
    await expect.poll(() => arrived.length, { timeout: 5000 }).toBe(50)
    console.log(arrived.map((x) => (x as [unknown, number])[1].toFixed(1)).join(' '))
    console.log(nodeA.link.status(), await nodeA.link.counts(), await hub.link.refusals(), await nodeC.link.refusals())
  })
})
