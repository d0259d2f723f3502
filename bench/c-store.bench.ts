import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { unpackFixtures } from '../scripts/fixtures.mjs'
import { ServiceProcess } from '../scripts/region/service-process.ts'
import type { BenchResult } from './run.ts'

const execute = promisify(execFile)
const instances = 1_000
const associations = 8

/** C-STORE of 1,000 × 512 KB CT over 8 storescu associations: a node agent beside Orthanc, same files, same disk. */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  try {
    const groups = makeInstances(join(folder, 'files'))
    const rows = [await measure('Lianpian', folder, groups, startNode), await measure('Orthanc', folder, groups, startOrthanc)]
    const [ours, theirs] = rows
    const table: BenchResult['rows'] = rows.map(({ name, seconds, cpuSeconds, rssMb }) => ({ archive: name, seconds: seconds.toFixed(2), 'instances/s': Math.round(instances / seconds), 'MB/s': Math.round((instances * 0.526) / seconds), 'CPU s': cpuSeconds.toFixed(1), 'peak RSS MB': Math.round(rssMb) }))
    if (ours && theirs) table.push({ archive: 'ratio', seconds: '', 'instances/s': (theirs.seconds / ours.seconds).toFixed(2), 'MB/s': '', 'CPU s': (ours.cpuSeconds / theirs.cpuSeconds).toFixed(2), 'peak RSS MB': '' })
    return { name: `C-STORE ${instances} × 512 KB CT, ${associations} associations (storescu shares the ${cpus().length} cores)`, rows: table }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Real slices under new SOP Instance UIDs of the same length, in one folder per association. */
function makeInstances(folder: string): string[] {
  const source = join(unpackFixtures('ct-chest'), 'ct-chest')
  const slices = readdirSync(source).sort().map((name) => readFileSync(join(source, name)))
  const groups = Array.from({ length: associations }, (_, index) => join(folder, String(index)))
  for (const group of groups) mkdirSync(group, { recursive: true })
  for (let index = 0; index < instances; index++) {
    const bytes = Buffer.from(slices[index % slices.length]!)
    const uid = sopInstanceUidOf(bytes)
    const replacement = uid.slice(0, -6) + String(100_000 + index)
    for (let at = bytes.indexOf(uid); at >= 0 && at < 4_096; at = bytes.indexOf(uid, at + 1)) bytes.write(replacement, at, 'latin1')
    writeFileSync(join(groups[index % associations]!, `${index}.dcm`), bytes)
  }
  return groups
}

/** Media Storage SOP Instance UID (0002,0003), explicit VR, from the file meta information. */
function sopInstanceUidOf(bytes: Buffer): string {
  const at = bytes.indexOf(Buffer.from([0x02, 0x00, 0x03, 0x00, 0x55, 0x49]))
  const length = bytes.readUInt16LE(at + 6)
  return bytes.toString('latin1', at + 8, at + 8 + length).replace(/\0+$/, '')
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

/** User and system time of a process, from /proc (100 ticks a second on Linux). */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function peakRssMbOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

async function startNode(folder: string): Promise<Peer> {
  const [http, dicom] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = { hospital: { id: 'bench', name: 'bench' }, dataFolder: './data', http: { port: http }, dimse: { host: '127.0.0.1', port: dicom, aeTitle: 'BENCH', allowAnyAe: true }, logLevel: 'warn' }
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

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
