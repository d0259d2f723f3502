import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from 'service-kit'
import { parseAeTitle } from 'specs'
import { migrations } from '../node-agent/src/archive/tables.ts'
import { findAt } from '../node-agent/src/dimse/scu-query.ts'
import type { BenchResult } from './run.ts'
import { startNode, startOrthanc, type ImageServer } from './support/image-servers.ts'
import { makeInstances } from './support/instances.ts'
import { dayOf, fillIndex, patientIdOf, patientsOf, personName } from './support/large-index.ts'
import { numbers } from './support/long-trail.ts'
import { peakRssMbOf } from './support/process-figures.ts'
import { quantile } from './support/rounds.ts'
import { sendLightly } from './support/senders.ts'

const stations = 20
const associations = 8
const slices = 1_000
/** Between two questions of one station: a person who reads what came. */
const THINKING_MS = 250
const held = 10_000

interface Question {
  readonly patientName?: string
  readonly patientId?: string
  readonly studyDate?: string
  readonly modality?: string
}

/** Combined conditions as at a reading desk: name and days, patient and modality, days and modality. */
function questionOf(random: (below: number) => number): Question {
  const [patient, study] = [random(patientsOf(held)), random(held)]
  const day = dayOf(study, held)
  const name = personName(patient).split('^')[0] ?? ''
  return [
    { patientName: `${name}^*`, studyDate: `${dayOf(Math.min(held - 1, study + 200), held)}-${day}` },
    { patientId: patientIdOf(patient), modality: 'CT' },
    { studyDate: day, modality: 'MR' },
  ][random(3)] as Question
}

/**
 * 20 stations, half of them by C-FIND, half by QIDO-RS, query while 8 associations store 1,000 slices: ours before 10,000 studies, Orthanc (which takes no rows
 * straight into its index) before what it is sent.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  try {
    const groups = makeInstances(join(folder, 'files'), { count: slices, associations })
    const ours = join(folder, 'ours')
    mkdirSync(join(ours, 'data'), { recursive: true })
    const db = await openDatabase({ dialect: 'sqlite', file: join(ours, 'data', 'archive-in-hospital.sqlite') })
    await db.migrate('archive', migrations)
    await fillIndex(db, held)
    await db.close()
    const node = await startNode(ours)
    await registered(join(ours, 'data', 'node.sqlite'))
    const rows = [await measure(node, groups), await measure(await startOrthanc(join(folder, 'orthanc')), groups)]
    return { name: `${stations} stations query while ${associations} associations store ${slices} × 512 KB CT`, rows }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Every study of the index has got its exam: a first start enters them one by one, which is not what is measured. */
async function registered(file: string): Promise<void> {
  const db = await openDatabase({ dialect: 'sqlite', file })
  try {
    for (let waited = 0; ; waited += 500) {
      const exams = (await db.get<{ n: number }>('SELECT COUNT(*) AS n FROM exam'))?.n ?? 0
      if (exams >= held) return
      if (waited > 180_000) throw new Error(`${exams} of ${held} exams are registered`)
      await sleep(500)
    }
  } finally {
    await db.close()
  }
}

async function measure(server: ImageServer, groups: readonly string[]): Promise<BenchResult['rows'][number]> {
  try {
    await sleep(2_000) // whatever a service does after its start
    let isOver = false
    const times = { find: [] as number[], qido: [] as number[] }
    let failures = 0
    const station = async (index: number) => {
      const random = numbers(index + 1)
      const kind = index % 2 === 0 ? 'find' : 'qido'
      await sleep(random(THINKING_MS))
      while (!isOver) {
        const question = questionOf(random)
        const began = performance.now()
        try {
          await (kind === 'find' ? find(server, question, index) : qido(server, question))
          times[kind].push(performance.now() - began)
        } catch {
          failures += 1
        }
        await sleep(THINKING_MS)
      }
    }
    const asking = Array.from({ length: stations }, (_each, index) => station(index))
    const { seconds } = await sendLightly(groups, { port: server.dicomPort, aeTitle: server.aeTitle })
    isOver = true
    await Promise.all(asking)
    const p95 = (values: readonly number[]) => quantile(values, 0.95).toFixed(0)
    return {
      archive: server.name, 'instances/s': (slices / seconds).toFixed(0), questions: times.find.length + times.qido.length, failures,
      'C-FIND p95 ms': p95(times.find), 'QIDO p95 ms': p95(times.qido), 'peak RSS MB': peakRssMbOf(server.pid).toFixed(0),
    } // prettier-ignore
  } finally {
    await server.stop()
  }
}

async function find({ aeTitle, dicomPort }: ImageServer, { patientName = '', patientId = '', studyDate = '', modality = '' }: Question, station: number): Promise<void> {
  const keys = { PatientName: patientName, PatientID: patientId, StudyDate: studyDate, ModalitiesInStudy: modality, StudyInstanceUID: '', AccessionNumber: '' }
  const peer = { aeTitle: parseAeTitle(aeTitle), host: '127.0.0.1', port: dicomPort }
  // An association for each question, as stations do.
  for await (const match of findAt(peer, { root: 'study', level: 'STUDY', keys }, { callingAeTitle: parseAeTitle(`STATION${station}`) })) void match
}

async function qido({ url, headers }: ImageServer, { patientName, patientId, studyDate, modality }: Question): Promise<void> {
  const asked = new URLSearchParams({ limit: '100', ...(patientName && { PatientName: patientName }), ...(patientId && { PatientID: patientId }), ...(studyDate && { StudyDate: studyDate }), ...(modality && { ModalitiesInStudy: modality }) })
  const answer = await fetch(`${url}/studies?${asked}`, { headers: { ...headers, accept: 'application/dicom+json' } })
  if (answer.status !== 200 && answer.status !== 204) throw new Error(`answered ${answer.status}`)
  await answer.arrayBuffer()
}
