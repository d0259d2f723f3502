import { performance } from 'node:perf_hooks'
import { HUB, kinds, parseHospitalId } from 'specs'
import { usualTiming } from 'service-kit'
import { connected, TestRegion } from '../service-kit/tests/support/region.ts'

const warmUp = 30
const measured = 300
/** Between two messages, so that latency is measured and not throughput. */
const restMs = 15

/**
 * A message committed at hospital A → taken by the hub in a transaction that posts it on → taken by hospital C in a
 * transaction → C's page is told. SM2/SM4 sealing and three commits (SQLite, synchronous=FULL) with a real nats-server on
 * loopback; all three parties share one process, which is the slow case.
 */
export async function run(): Promise<{ name: string; rows: Record<string, string | number>[] }> {
  const region = await TestRegion.start()
  try {
    const timing = { timing: usualTiming }
    const [a, c] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-c')]
    const [hub, nodeA, nodeC] = [await region.openHub(timing), await region.openNode(a, timing), await region.openNode(c, timing)]
    hub.link.onMessage(kinds.consultCommand, async (tx, { body }) => void (await hub.link.post(tx, c, kinds.consultEvent, body)))
    let shown: () => void = () => {}
    nodeC.link.onMessage(kinds.consultEvent, async (tx) => tx.afterCommit(() => shown()))
    for (const { link } of [hub, nodeA, nodeC]) link.start()
    await Promise.all([connected(nodeA.link), connected(nodeC.link)])

    const body = { text: '会诊'.repeat(1_000) } // about 6 KB, as a consultation with its sealed request
    const sendOne = async (): Promise<{ afterCommitMs: number; totalMs: number }> => {
      const arrived = new Promise<void>((resolve) => (shown = resolve))
      const begun = performance.now()
      await nodeA.db.write(async (tx) => void (await nodeA.link.post(tx, HUB, kinds.consultCommand, body)))
      const committed = performance.now()
      await arrived
      const ended = performance.now()
      return { afterCommitMs: ended - committed, totalMs: ended - begun }
    }
    const times: { afterCommitMs: number; totalMs: number }[] = []
    for (let n = 0; n < warmUp + measured; n++) {
      const time = await sendOne()
      if (n >= warmUp) times.push(time)
      await new Promise((resolve) => setTimeout(resolve, restMs))
    }
    const row = (what: string, values: number[]) => ({
      what,
      'p50 ms': quantile(values, 0.5),
      'p95 ms': quantile(values, 0.95),
      messages: values.length,
    })
    return {
      name: 'message committed at A → event shown at C (goal: p95 ≤ 50 ms)',
      rows: [
        row(
          'from the commit at A',
          times.map((time) => time.afterCommitMs),
        ),
        row(
          'with the commit at A',
          times.map((time) => time.totalMs),
        ),
      ],
    }
  } finally {
    await region.stop()
  }
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return Number((sorted[Math.ceil(sorted.length * part) - 1] ?? 0).toFixed(1))
}
