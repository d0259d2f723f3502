import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchResult } from './run.ts'
import { startNode, startOrthanc, type ImageServer } from './support/image-servers.ts'
import { makeMultiFrame } from './support/large-objects.ts'
import { cpuSecondsOf, rssMbOf } from './support/process-figures.ts'
import { sendLightly } from './support/senders.ts'

/** One object of 1 GB (2,048 frames) over one association: how much more memory receiving it takes, and how long. */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  try {
    const { group, sizeBytes } = await makeMultiFrame(join(folder, 'object'))
    const rows: BenchResult['rows'] = []
    for (const [archive, start] of [['Lianpian', startNode], ['Lianpian, SM4', (of: string) => startNode(of, { archive: { encryption: 'sm4' } })], ['Orthanc', startOrthanc]] as const)
      rows.push({ archive, ...(await measure(join(folder, archive), group, sizeBytes, start)) })
    return { name: `One multi-frame object of ${(sizeBytes / 1e9).toFixed(2)} GB (goal: less than 150 MB of extra memory)`, rows }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure(folder: string, group: string, sizeBytes: number, start: (folder: string) => Promise<ImageServer>) {
  const peer = await start(folder)
  try {
    await sleep(2_000) // whatever a service does after its start
    const [before, cpuBefore] = [rssMbOf(peer.pid), cpuSecondsOf(peer.pid)]
    let peak = before
    const watch = setInterval(() => (peak = Math.max(peak, rssMbOf(peer.pid))), 10)
    const { seconds } = await sendLightly([group], { port: peer.dicomPort, aeTitle: peer.aeTitle })
    clearInterval(watch)
    const cpuSeconds = cpuSecondsOf(peer.pid) - cpuBefore
    return {
      seconds: seconds.toFixed(1), 'MB/s': (sizeBytes / 1e6 / seconds).toFixed(0), 'CPU s/GB': (cpuSeconds / (sizeBytes / 1e9)).toFixed(1),
      'RSS before, MB': before.toFixed(0), 'RSS peak, MB': peak.toFixed(0), 'extra MB': (peak - before).toFixed(0),
    } // prettier-ignore
  } finally {
    await peer.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
