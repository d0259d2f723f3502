import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ServiceProcess } from '../scripts/region/service-process.ts'
import { freePort } from '../service-kit/tests/support/nats.ts'
import type { BenchResult } from './run.ts'
import { makeInstances } from './support/instances.ts'
import { cpuSecondsOf, peakRssMbOf } from './support/process-figures.ts'

const execute = promisify(execFile)
const instances = 1_000
const associations = 8

/** C-STORE of 1,000 × 512 KB CT over 8 storescu associations: a node agent, one that encrypts what it stores, and Orthanc, same files, same disk. */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  try {
    const groups = makeInstances(join(folder, 'files'), { count: instances, associations })
    const ours = await measure('Lianpian', folder, groups, startNode)
    const encrypted = await measure('Lianpian, SM4', folder, groups, (of) => startNode(of, { archive: { encryption: 'sm4' } }))
    const theirs = await measure('Orthanc', folder, groups, startOrthanc)
    const rows = [ours, encrypted, theirs]
    const table: BenchResult['rows'] = rows.map(({ name, seconds, cpuSeconds, rssMb }) => ({ archive: name, seconds: seconds.toFixed(2), 'instances/s': Math.round(instances / seconds), 'MB/s': Math.round((instances * 0.526) / seconds), 'CPU s': cpuSeconds.toFixed(1), 'peak RSS MB': Math.round(rssMb) }))
    const ratio = (archive: string, a: typeof ours, b: typeof ours) => ({ archive, seconds: '', 'instances/s': (b.seconds / a.seconds).toFixed(2), 'MB/s': '', 'CPU s': (a.cpuSeconds / b.cpuSeconds).toFixed(2), 'peak RSS MB': '' })
    table.push(ratio('ratio to Orthanc', ours, theirs), ratio('ratio of SM4 to plain', encrypted, ours))
    return { name: `C-STORE ${instances} × 512 KB CT, ${associations} associations (storescu shares the ${cpus().length} cores)`, rows: table }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Peer {
  aeTitle: string
  port: number
  pid: number
  stop(): Promise<void>
}

async function measure(name: string, folder: string, groups: string[], start: (folder: string) => Promise<Peer>) {
  const peer = await start(join(folder, name))
  try {
    const cpuBefore = cpuSecondsOf(peer.pid)
    const started = performance.now()
    await Promise.all(groups.map((group) => execute('storescu', ['+sd', '-aec', peer.aeTitle, '127.0.0.1', String(peer.port), group], { maxBuffer: 1 << 24 })))
    const seconds = (performance.now() - started) / 1000
    return { name, seconds, cpuSeconds: cpuSecondsOf(peer.pid) - cpuBefore, rssMb: peakRssMbOf(peer.pid) }
  } finally {
    await peer.stop()
  }
}

async function startNode(folder: string, more: object = {}): Promise<Peer> {
  const [http, dicom] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = { hospital: { id: 'bench', name: 'bench' }, dataFolder: './data', http: { port: http }, dimse: { host: '127.0.0.1', port: dicom, aeTitle: 'BENCH', allowAnyAe: true }, logLevel: 'warn', ...more }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const node = new ServiceProcess({ name: 'bench', main: 'node-agent/src/main.ts', args: ['--config', join(folder, 'config.json')], logFile: join(folder, 'log'), healthUrl: `http://127.0.0.1:${http}/health` })
  await node.start()
  return { aeTitle: 'BENCH', port: dicom, pid: node.pid!, stop: () => node.stop() }
}

async function startOrthanc(folder: string): Promise<Peer> {
  const [http, dicom] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = { Name: 'bench', StorageDirectory: join(folder, 'storage'), IndexDirectory: join(folder, 'storage'), HttpPort: http, DicomPort: dicom, DicomAet: 'BENCH', DicomCheckCalledAet: false, DicomAlwaysAllowStore: true, AuthenticationEnabled: false, RemoteAccessAllowed: false, Plugins: [], SyncStorageArea: true, DicomThreadsCount: 8 }
  writeFileSync(join(folder, 'orthanc.json'), JSON.stringify(config))
  const child = spawn('Orthanc', [join(folder, 'orthanc.json')], { stdio: 'ignore' })
  const deadline = Date.now() + 30_000
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${http}/system`).then((answer) => answer.ok, () => false)
    if (answered) break
    if (Date.now() > deadline) throw new Error('Orthanc did not start')
    await sleep(100)
  }
  return {
    aeTitle: 'BENCH',
    port: dicom,
    pid: child.pid!,
    stop: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}
