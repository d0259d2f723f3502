import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ApiUser } from '../scripts/region/api.ts'
import { ServiceProcess } from '../scripts/region/service-process.ts'
import { freePort } from '../service-kit/tests/support/nats.ts'
import type { BenchResult } from './run.ts'
import { makeInstances } from './support/instances.ts'
import { cpuSecondsOf } from './support/process-figures.ts'
import { asPercent, inTurns, median, quantile, relativeCost } from './support/rounds.ts'

const execute = promisify(execFile)
const associations = 8
const instances = 100
const queries = 300
const pairs = Number(process.env['BENCH_PAIRS'] ?? 30)
const password = 'lianpian-bench-1'
/** Notes wait this long for company before they are written: what a round has told is paid for in the round. */
const SETTLE_MS = 300

type Kind = 'with' | 'without'
interface Figures {
  seconds: number
  cpuSeconds: number
}

/**
 * What the audit trail costs. One node, one set of data, one compiled program: its trail is made deaf and hears again by a signal, in turns, round by round, so that
 * neither the luck of a process nor a busy machine looks like a cost. Processor time is the figure to judge by; the rate is told beside. Whatever else runs on the
 * machine only ever makes a round dearer: what the quietest rounds say is nearest to the truth.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-audit-bench-'))
  const node = await startNode(join(folder, 'node'))
  try {
    let sent = 0
    const store = async () => {
      const files = join(folder, `round-${sent}`)
      const groups = makeInstances(files, { count: instances, associations, first: sent })
      sent += instances
      const figures = await measured(node, () => storeAll(node, groups))
      rmSync(files, { recursive: true })
      return figures
    }
    let asked = 0
    const user = await ApiUser.signIn(node.url, 'doctor', password)
    const same = () => measured(node, () => askAll(user, () => '/dicom-web/series?limit=50'))
    const different = () => measured(node, () => askAll(user, () => `/dicom-web/series?limit=50&StudyDate=${dateOf(asked++)}-20991231`))
    const rows = [
      ...(await rounds(node, 'C-STORE', instances, store, 1)),
      ...(await rounds(node, 'QIDO-RS, one search', queries, same, 24)), // the compiler goes on making it faster for some thousand queries
      ...(await rounds(node, 'QIDO-RS, all different', queries, different, 4)),
    ]
    return { name: `The audit trail's cost: ${instances} × 512 KB CT by ${associations} storescu, ${queries} QIDO-RS of 8 askers; ${pairs} pairs of rounds in turns, cost as median of pairs (quartiles) and between the quietest tenths`, rows }
  } finally {
    await node.process.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function rounds(node: Node, what: string, perRound: number, round: () => Promise<Figures>, warmUp: number): Promise<BenchResult['rows']> {
  const figures: Record<Kind, Figures[]> = { with: [], without: [] }
  for (let time = 0; time < warmUp; time++) for (const kind of ['with', 'without'] as const) await of(kind)
  for (const kind of inTurns<Kind>('with', 'without', pairs)) figures[kind].push(await of(kind))
  await node.hear(true)
  const [on, off] = [figures.with, figures.without]
  const tenth = (of: Figures[]) => quantile(cpu(of), 0.1)
  const cpu = (of: Figures[]) => of.map(({ cpuSeconds }) => cpuSeconds)
  const time = (of: Figures[]) => of.map(({ seconds }) => seconds)
  const row = (kind: string, of: Figures[]) => ({ what: `${what} ${kind} trail`, 'CPU ms each': ((median(cpu(of)) / perRound) * 1_000).toFixed(3), 'quietest tenth': ((tenth(of) / perRound) * 1_000).toFixed(3), 'per second': (perRound / median(time(of))).toFixed(0) })
  return [row('with', on), row('without', off), { what: `${what}: cost`, 'CPU ms each': asPercent(relativeCost(cpu(on), cpu(off))), 'quietest tenth': `${((tenth(on) / tenth(off) - 1) * 100).toFixed(1)} %`, 'per second': asPercent(relativeCost(time(on), time(off))) }]

  async function of(kind: Kind): Promise<Figures> {
    await node.hear(kind === 'with')
    return round()
  }
}

interface Node {
  readonly process: ServiceProcess
  readonly dicomPort: number
  readonly url: string
  hear(does: boolean): Promise<void>
}

async function startNode(folder: string): Promise<Node> {
  const [http, dicom] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = {
    hospital: { id: 'bench', name: 'bench' }, dataFolder: './data', http: { port: http, limits: { searchesPerMinute: 1_000_000 } }, dimse: { host: '127.0.0.1', port: dicom, aeTitle: 'BENCH', allowAnyAe: true }, logLevel: 'warn',
    identity: { secondFactor: 'optional' }, accounts: [{ username: 'doctor', password, name: 'doctor', roles: ['doctor', 'technician'] }],
  } // prettier-ignore
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const url = `http://127.0.0.1:${http}`
  const node = new ServiceProcess({ name: 'bench', main: 'bench/support/node-with-audit-switch.ts', args: ['--config', join(folder, 'config.json')], logFile: join(folder, 'log'), healthUrl: `${url}/health` })
  await node.start()
  let hears = true
  const hear = async (does: boolean) => {
    if (does === hears) return
    process.kill(node.pid ?? 0, 'SIGUSR2')
    hears = does
    await sleep(100)
  }
  return { process: node, dicomPort: dicom, url, hear }
}

async function storeAll(node: Node, groups: readonly string[]): Promise<void> {
  await Promise.all(groups.map((group) => execute('storescu', ['+sd', '-aec', 'BENCH', '127.0.0.1', String(node.dicomPort), group], { maxBuffer: 1 << 24 })))
}

async function askAll(user: ApiUser, next: () => string): Promise<void> {
  let asked = 0
  const asker = async () => {
    while (asked++ < queries) {
      const answer = await user.raw(next(), { headers: { accept: 'application/dicom+json' } })
      if (answer.status !== 200) throw new Error(`QIDO-RS answered ${answer.status} ${await answer.text()}`)
      await answer.arrayBuffer()
    }
  }
  await Promise.all(Array.from({ length: 8 }, asker))
}

/** A day long ago, another one for each number: every search finds the same and is told as another one. */
function dateOf(number: number): string {
  const two = (value: number) => String(value + 1).padStart(2, '0')
  return `${1_000 + (Math.floor(number / 336) % 900)}${two(Math.floor(number / 28) % 12)}${two(number % 28)}`
}

async function measured(node: Node, work: () => Promise<void>): Promise<Figures> {
  const pid = node.process.pid ?? 0
  const cpuBefore = cpuSecondsOf(pid)
  const began = performance.now()
  await work()
  const seconds = (performance.now() - began) / 1_000
  await sleep(SETTLE_MS)
  return { seconds, cpuSeconds: cpuSecondsOf(pid) - cpuBefore }
}
