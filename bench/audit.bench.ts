import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { unpackFixtures } from '../scripts/fixtures.mjs'
import { ApiUser } from '../scripts/region/api.ts'
import { ServiceProcess } from '../scripts/region/service-process.ts'
import type { BenchResult } from './run.ts'

const execute = promisify(execFile)
const associations = 8
const instances = 400
const queries = 1_500
const password = 'lianpian-bench-1'
/** Each kind first as often as last, so that a machine that gets slower or warmer favours neither. */
const order = ['with', 'without', 'without', 'with', 'with', 'without', 'without', 'with'] as const

type Kind = (typeof order)[number]
interface Figures {
  seconds: number
  cpuSeconds: number
}

/** What the audit trail costs: C-STORE and QIDO-RS of one node with and without it, in turns, in the same run. */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-audit-bench-'))
  const nodes = { with: await startNode(join(folder, 'with'), 'node-agent/src/main.ts'), without: await startNode(join(folder, 'without'), 'bench/support/node-without-audit.ts') }
  try {
    const store: Record<Kind, Figures[]> = { with: [], without: [] }
    const qido: Record<Kind, Figures[]> = { with: [], without: [] }
    for (const kind of ['with', 'without'] as const) await storeRound(nodes[kind], makeInstances(join(folder, `warm-${kind}`), 0, 80))
    for (const [round, kind] of order.entries()) {
      const groups = makeInstances(join(folder, `round-${round}`), round + 1, instances)
      store[kind].push(await storeRound(nodes[kind], groups))
      rmSync(join(folder, `round-${round}`), { recursive: true })
    }
    for (const kind of [...order, ...order]) await qidoRound(nodes[kind]) // the compiler goes on making them faster for some ten thousand queries
    for (const kind of [...order, ...order]) qido[kind].push(await qidoRound(nodes[kind]))
    return { name: `the audit trail's cost: ${instances} × 512 KB CT by ${associations} storescu, ${queries} QIDO-RS of 8 askers, median of ${order.length / 2} and ${order.length} rounds each, in turns`, rows: [...rowsOf('C-STORE', instances, store), ...rowsOf('QIDO-RS', queries, qido)] }
  } finally {
    await Promise.all([nodes.with.process.stop(), nodes.without.process.stop()])
    rmSync(folder, { recursive: true, force: true })
  }
}

function rowsOf(what: string, perRound: number, figures: Record<Kind, Figures[]>): BenchResult['rows'] {
  const median = (kind: Kind, key: keyof Figures) => [...figures[kind]].sort((a, b) => a[key] - b[key])[Math.floor(figures[kind].length / 2)]?.[key] ?? NaN
  const rate = (kind: Kind) => perRound / median(kind, 'seconds')
  const row = (kind: Kind) => ({ what: `${what} ${kind} trail`, 'per second': rate(kind).toFixed(0), 'node CPU s': median(kind, 'cpuSeconds').toFixed(2) })
  const cost = (1 - rate('with') / rate('without')) * 100
  const cpu = (median('with', 'cpuSeconds') / median('without', 'cpuSeconds') - 1) * 100
  return [row('with'), row('without'), { what: `${what} cost`, 'per second': `${cost.toFixed(1)} %`, 'node CPU s': `${cpu.toFixed(1)} %` }]
}

interface Node {
  readonly process: ServiceProcess
  readonly dicomPort: number
  readonly url: string
}

async function startNode(folder: string, main: string): Promise<Node> {
  const [http, dicom] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = {
    hospital: { id: 'bench', name: 'bench' }, dataFolder: './data', http: { port: http, limits: { searchesPerMinute: 1_000_000 } }, dimse: { host: '127.0.0.1', port: dicom, aeTitle: 'BENCH', allowAnyAe: true }, logLevel: 'warn',
    identity: { secondFactor: 'optional' }, accounts: [{ username: 'doctor', password, name: 'doctor', roles: ['doctor', 'technician'] }],
  } // prettier-ignore
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const url = `http://127.0.0.1:${http}`
  const node = new ServiceProcess({ name: 'bench', main, args: ['--config', join(folder, 'config.json')], logFile: join(folder, 'log'), healthUrl: `${url}/health` })
  await node.start()
  return { process: node, dicomPort: dicom, url }
}

async function storeRound(node: Node, groups: string[]): Promise<Figures> {
  return measured(node, async () => {
    await Promise.all(groups.map((group) => execute('storescu', ['+sd', '-aec', 'BENCH', '127.0.0.1', String(node.dicomPort), group], { maxBuffer: 1 << 24 })))
  })
}

async function qidoRound(node: Node): Promise<Figures> {
  const user = await ApiUser.signIn(node.url, 'doctor', password)
  return measured(node, async () => {
    let asked = 0
    const asker = async () => {
      while (asked++ < queries) {
        const answer = await user.raw('/dicom-web/series?limit=50', { headers: { accept: 'application/dicom+json' } })
        if (answer.status !== 200) throw new Error(`QIDO-RS answered ${answer.status} ${await answer.text()}`)
        await answer.arrayBuffer()
      }
    }
    await Promise.all(Array.from({ length: 8 }, asker))
  })
}

async function measured(node: Node, work: () => Promise<void>): Promise<Figures> {
  const pid = node.process.pid ?? 0
  const cpuBefore = cpuSecondsOf(pid)
  const began = performance.now()
  await work()
  return { seconds: (performance.now() - began) / 1000, cpuSeconds: cpuSecondsOf(pid) - cpuBefore }
}

/** Real slices under new SOP Instance UIDs of the same length, in one folder per association. */
function makeInstances(folder: string, round: number, count: number): string[] {
  const source = join(unpackFixtures('ct-chest'), 'ct-chest')
  const slices = readdirSync(source).sort().map((name) => readFileSync(join(source, name)))
  const groups = Array.from({ length: associations }, (_, index) => join(folder, String(index)))
  for (const group of groups) mkdirSync(group, { recursive: true })
  for (let index = 0; index < count; index++) {
    const bytes = Buffer.from(slices[index % slices.length]!)
    const uid = sopInstanceUidOf(bytes)
    const replacement = uid.slice(0, -6) + String(100_000 + round * 10_000 + index)
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

/** User and system time of a process, from /proc (100 ticks a second on Linux). */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
