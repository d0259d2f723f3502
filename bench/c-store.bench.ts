import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchResult } from './run.ts'
import { startNode, startOrthanc, type ImageServer } from './support/image-servers.ts'
import { makeInstances } from './support/instances.ts'
import { makeMammograms } from './support/large-objects.ts'
import { cpuSecondsOf, peakRssMbOf } from './support/process-figures.ts'
import { sendByStorescu, sendLightly, type Sent } from './support/senders.ts'

const associations = 8
const slices = 1_000
const sliceBytes = 526_000
const mammograms = 24

interface Load {
  readonly name: string
  readonly groups: readonly string[]
  readonly objects: number
  readonly sizeBytes: number
  send(groups: readonly string[], to: { port: number; aeTitle: string }): Promise<Sent>
}
interface Measured {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly senderCpuSeconds: number | undefined
  readonly rssMb: number
}

/**
 * C-STORE over 8 associations to a node agent, one that encrypts what it stores, and Orthanc: same files, same disk, same senders, all durable. Once with a
 * sender that waits for answers only, once with DCMTK's storescu, which waits by itself and takes half of the machine.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const rows: BenchResult['rows'] = []
  try {
    const ct = makeInstances(join(folder, 'ct'), { count: slices, associations })
    const mg = await makeMammograms(join(folder, 'mg'), { count: mammograms, associations })
    const ofSlices = { groups: ct, objects: slices, sizeBytes: slices * sliceBytes }
    const loads: Load[] = [
      { name: 'CT 512 KB', ...ofSlices, send: sendLightly },
      { name: 'CT 512 KB, storescu', ...ofSlices, send: sendByStorescu },
      { name: 'MG 27 MB', groups: mg.groups, objects: mammograms, sizeBytes: mg.sizeBytes, send: sendLightly },
    ]
    for (const load of loads) {
      const ours = await measure(load, folder, startNode)
      const encrypted = await measure(load, folder, (of) => startNode(of, { archive: { encryption: 'sm4' } }))
      const theirs = await measure(load, folder, startOrthanc)
      rows.push(rowOf(load, 'Lianpian', ours), rowOf(load, 'Lianpian, SM4', encrypted), rowOf(load, 'Orthanc', theirs))
      rows.push(ratioOf(load, 'Lianpian : Orthanc', ours, theirs), ratioOf(load, 'SM4 : plain', encrypted, ours))
    }
    return { name: `C-STORE over ${associations} associations (senders share the ${cpus().length} cores)`, rows }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure({ groups, send }: Load, folder: string, start: (folder: string) => Promise<ImageServer>): Promise<Measured> {
  const place = mkdtempSync(join(folder, 'archive-'))
  const peer = await start(place)
  try {
    await sleep(2_000) // whatever a service does after its start
    const before = cpuSecondsOf(peer.pid)
    const { seconds, cpuSeconds: senderCpuSeconds } = await send(groups, { port: peer.dicomPort, aeTitle: peer.aeTitle })
    return { seconds, senderCpuSeconds, cpuSeconds: cpuSecondsOf(peer.pid) - before, rssMb: peakRssMbOf(peer.pid) }
  } finally {
    await peer.stop()
    rmSync(place, { recursive: true, force: true })
  }
}

const rowOf = ({ name, objects, sizeBytes }: Load, archive: string, { seconds, cpuSeconds, senderCpuSeconds, rssMb }: Measured): BenchResult['rows'][number] => ({
  load: name,
  archive,
  seconds: seconds.toFixed(2),
  'instances/s': (objects / seconds).toFixed(0),
  'MB/s': (sizeBytes / 1e6 / seconds).toFixed(0),
  'CPU s/GB': (cpuSeconds / (sizeBytes / 1e9)).toFixed(1),
  "senders' CPU s/GB": senderCpuSeconds === undefined ? '' : (senderCpuSeconds / (sizeBytes / 1e9)).toFixed(1),
  'peak RSS MB': rssMb.toFixed(0),
})

const ratioOf = ({ name }: Load, archive: string, a: Measured, b: Measured): BenchResult['rows'][number] => ({
  load: name, archive, seconds: '', 'instances/s': (b.seconds / a.seconds).toFixed(2), 'MB/s': '', 'CPU s/GB': (a.cpuSeconds / b.cpuSeconds).toFixed(2), "senders' CPU s/GB": '', 'peak RSS MB': '',
}) // prettier-ignore
