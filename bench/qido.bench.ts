import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { openDatabase } from 'service-kit'
import { migrations } from '../node-agent/src/archive/tables.ts'
import { compiledProgram } from '../scripts/region/compiled.ts'
import type { BenchResult } from './run.ts'
import { accessionOf, dayOf, fillIndex, patientIdOf, patientsOf, personName } from './support/large-index.ts'
import { numbers } from './support/long-trail.ts'
import { cpuSecondsOf, peakRssMbOf } from './support/process-figures.ts'
import { quantile } from './support/rounds.ts'

const sizes = (process.env['BENCH_STUDIES'] ?? '10000,100000').split(',').map(Number)
const times = 100
const page = 100

/**
 * QIDO-RS over HTTP, pages of 100, each question asked of another patient, day or number every time: p50 and p95 in ms at growing archives (ten instances a study,
 * written straight into the tables). BENCH_STUDIES=10000,100000,1000000 for the whole curve (10 million instances, some 8 GB, a quarter of an hour). SQLite.
 */
export async function run(): Promise<BenchResult> {
  const rows = new Map<string, Record<string, string | number>>()
  const notes: string[] = []
  for (const studies of sizes) {
    const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
    try {
      const database = { dialect: 'sqlite', file: join(folder, 'index.sqlite') } as const
      const db = await openDatabase(database)
      await db.migrate('archive', migrations)
      const began = performance.now()
      await fillIndex(db, studies)
      await db.close()
      const filled = (performance.now() - began) / 1_000
      const server = await startServer(folder, database)
      for (const [what, queryOf] of Object.entries(questions(studies))) {
        const { p50, p95, found, refused } = await ask(server, queryOf)
        rows.set(what, { ...(rows.get(what) ?? { what }), [`${studies} p50`]: p50.toFixed(1), [`${studies} p95`]: p95.toFixed(1), [`${studies} found`]: refused > 0 ? `${refused} of ${times} refused` : Math.round(found) })
      }
      notes.push(`${studies}: filled in ${filled.toFixed(0)} s, ${(statSync(database.file).size / 1e9).toFixed(1)} GB, indexes and words in ${server.upkeepSeconds.toFixed(0)} s, peak ${Math.round(peakRssMbOf(server.pid))} MB, ${((cpuSecondsOf(server.pid) - server.cpuBefore) / times / Object.keys(questions(studies)).length * 1_000).toFixed(1)} ms CPU each`) // prettier-ignore
      await server.stop()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { name: `QIDO-RS /studies, pages of ${page}, ms (goal: p95 20 ms). ${notes.join('; ')}`, rows: [...rows.values()] }
}

const months = (day: string) => `${day.slice(0, 6)}01-${day.slice(0, 6)}31`

function questions(studies: number): Record<string, () => Record<string, string>> {
  const random = numbers(5)
  const patients = patientsOf(studies)
  const name = () => personName(random(patients))
  const day = () => dayOf(random(studies), studies)
  const modality = () => ['CT', 'DX', 'MR', 'US', 'XA'][random(5)]!
  return {
    'patient ID': () => ({ PatientID: patientIdOf(random(patients)) }),
    'accession number': () => ({ AccessionNumber: accessionOf(random(studies)) }),
    'name prefix: surname': () => ({ PatientName: `${name().split('^')[0]}*` }),
    'name prefix: surname and one sign': () => ({ PatientName: `${[...name().split('=')[1]!].slice(0, 3).join('')}*` }),
    'name prefix: pinyin': () => ({ PatientName: `${name().split('=')[0]!.slice(0, -2)}*` }),
    'whole name': () => ({ PatientName: name().split('=')[0]! }),
    'fuzzy: two words, any order': () => ({ PatientName: name().split('=')[0]!.split('^').reverse().join(' '), fuzzymatching: 'true' }),
    'one day and modality': () => {
      const on = day()
      return { StudyDate: `${on}-${on}`, ModalitiesInStudy: modality() }
    },
    'one month and modality': () => ({ StudyDate: months(day()), ModalitiesInStudy: modality() }),
    'name, month and modality': () => ({ PatientName: `${name().split('^')[0]}*`, StudyDate: months(day()), ModalitiesInStudy: modality() }),
    'newest of all': () => ({}),
    'a word that no study has': () => ({ StudyDescription: `*nothing ${random(1_000)}*` }),
  }
}

interface Server {
  readonly pid: number
  readonly url: string
  readonly token: string
  readonly upkeepSeconds: number
  readonly cpuBefore: number
  stop(): Promise<void>
}

async function startServer(folder: string, database: object): Promise<Server> {
  mkdirSync(join(folder, 'files'), { recursive: true })
  const program = await compiledProgram('bench/support/search-server.ts')
  const child = spawn(process.execPath, [program, JSON.stringify(database), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => Promise.reject(new Error('the search server ended')))])) as [Buffer]
  const { port, token, upkeepSeconds } = JSON.parse(String(line)) as { port: number; token: string; upkeepSeconds: number }
  return {
    pid: child.pid!, url: `http://127.0.0.1:${port}/dicom-web/studies`, token, upkeepSeconds, cpuBefore: cpuSecondsOf(child.pid!),
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  } // prettier-ignore
}

async function ask({ url, token }: Server, queryOf: () => Record<string, string>) {
  const taken: number[] = []
  let found = 0
  let refused = 0
  for (let time = -5; time < times; time += 1) {
    const query = new URLSearchParams({ ...queryOf(), limit: String(page) })
    const began = performance.now()
    const answer = await fetch(`${url}?${query}`, { headers: { Authorization: `Bearer ${token}`, accept: 'application/dicom+json' } })
    const body = (await answer.json()) as unknown[]
    if (answer.status !== 200 && answer.status !== 413) throw new Error(`QIDO-RS answered ${answer.status} ${JSON.stringify(body)}`)
    if (time < 0) continue
    taken.push(performance.now() - began)
    if (answer.status === 413) refused += 1
    else found += body.length / times
  }
  return { p50: quantile(taken, 0.5), p95: quantile(taken, 0.95), found, refused }
}
