import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { BenchResult } from './run.ts'
import { download, settled, startNginx, startNode, startOrthanc, type Download, type ImageServer } from './support/image-servers.ts'
import { makeInstances } from './support/instances.ts'
import { cpuSecondsOf } from './support/process-figures.ts'
import { median } from './support/rounds.ts'
import { sendByStorescu } from './support/senders.ts'

const execute = promisify(execFile)
const instances = Number(process.env['BENCH_INSTANCES'] ?? 950)
const rounds = 7

/**
 * WADO-RS of a study of 500 MB, as stored, in one multipart answer: a node (with its rights, masks and trail), Orthanc, and nginx giving the same bytes from a
 * file. Read by curl, in turns, so that a noisy machine is noisy for all; medians.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const stopping: (() => Promise<void>)[] = []
  try {
    const groups = makeInstances(join(folder, 'files'), { count: instances, associations: 8 })
    const study = await studyOf(join(groups[0]!, readdirSync(groups[0]!)[0]!))
    const servers = [await startNode(join(folder, 'node')), await startOrthanc(join(folder, 'orthanc'))]
    stopping.push(...servers.map((server) => server.stop))
    for (const server of servers) {
      await sendByStorescu(groups, { port: server.dicomPort, aeTitle: server.aeTitle })
      await settled(server, study, instances)
    }
    const accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    const address = (server: ImageServer) => `${server.url}/studies/${study}`
    await download(address(servers[0]!), { ...servers[0]!.headers, accept }, join(folder, 'same-bytes'))
    const nginx = await startNginx(join(folder, 'nginx'), folder)
    stopping.push(nginx.stop)
    const readers = [
      ...servers.map((server) => ({ name: server.name, pid: server.pid, read: () => download(address(server), { ...server.headers, accept }) })),
      { name: 'nginx, from a file', pid: undefined, read: () => download(`${nginx.url}/same-bytes`, {}) },
    ]
    const figures = new Map<string, (Download & { cpuSeconds: number })[]>(readers.map(({ name }) => [name, []]))
    for (let round = -1; round < rounds; round += 1)
      for (const { name, pid, read } of round % 2 === 0 ? readers : [...readers].reverse()) {
        const before = pid === undefined ? 0 : cpuSecondsOf(pid)
        const figure = await read()
        if (round >= 0) figures.get(name)!.push({ ...figure, cpuSeconds: pid === undefined ? NaN : cpuSecondsOf(pid) - before })
      }
    const speed = (name: string) => median(figures.get(name)!.map(({ bytes, seconds }) => bytes / 1e6 / seconds))
    const rows: BenchResult['rows'] = readers.map(({ name }) => {
      const of = figures.get(name)!
      const cpu = median(of.map(({ cpuSeconds }) => cpuSeconds))
      return { server: name, MB: Math.round(of[0]!.bytes / 1e6), seconds: median(of.map(({ seconds }) => seconds)).toFixed(2), 'MB/s': Math.round(speed(name)), 'first byte ms': (median(of.map(({ firstByteSeconds }) => firstByteSeconds)) * 1_000).toFixed(1), 'CPU s': Number.isNaN(cpu) ? '' : cpu.toFixed(2) }
    })
    const ratio = (server: string, other: string) => ({ server, MB: '', seconds: '', 'MB/s': (speed('Lianpian') / speed(other)).toFixed(2), 'first byte ms': '', 'CPU s': '' })
    rows.push(ratio('ratio to Orthanc (goal 2)', 'Orthanc'), ratio('ratio to nginx', 'nginx, from a file'))
    return { name: `WADO-RS of a study of ${instances} × 512 KB CT, as stored; ${rounds} rounds in turns`, rows }
  } finally {
    for (const stop of stopping.reverse()) await stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function studyOf(file: string): Promise<string> {
  const { stdout } = await execute('dcmdump', ['-q', '+P', '0020,000d', file])
  return /\[([\d.]+)/.exec(stdout)?.[1] ?? ''
}
