import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomBytes, sm3, sm4CtrEncrypt } from 'pki'
import type { ExamRow, TransferRow } from 'specs'
import { sendInstances } from '../node-agent/src/dimse/scu.ts'
import { instanceOfFile } from '../node-agent/src/dimse/stored-instance.ts'
import { unpackFixtures } from '../scripts/fixtures.mjs'
import { identityOf } from '../scripts/region/dicom-file.ts'
import { startTestRegion } from '../tests/support/region.ts'
import type { BenchResult } from './run.ts'

const instances = 750
const runs = 3
const MB = 1e6

/**
 * A study pushed from hospital A to hospital C: two node processes, a hub and a real nats-server on loopback, all sharing
 * the machine. From the wish (the request has arrived at C) until every instance is verified and durable at C.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'], heartbeatMs: 5_000 })
  try {
    const rates = cryptoRates()
    const rows: BenchResult['rows'] = []
    for (let round = 1; round <= runs; round++) {
      const study = await sendStudy(region, join(folder, String(round)), round)
      const cpuBefore = cpuSeconds(region)
      const transfer = await push(region, study)
      const cpu = cpuSeconds(region).map((seconds, index) => seconds - (cpuBefore[index] ?? 0))
      const seconds = (transfer.updatedAt - transfer.startedAt) / 1_000
      const megabytes = transfer.bytesTotal / MB
      rows.push({
        run: round,
        instances: transfer.instancesTotal,
        MB: Math.round(megabytes),
        seconds: seconds.toFixed(2),
        'MB/s': (megabytes / seconds).toFixed(1),
        'SM4 share at each end': `${Math.round((100 * megabytes) / rates.sm4 / seconds)} %`,
        'SM3 share at C': `${Math.round((100 * megabytes) / rates.sm3 / seconds)} %`,
        'CPU s A / C / nats': cpu.map((value) => value.toFixed(1)).join(' / '),
      })
    }
    return {
      name: `Sealed transfer A → C, ${instances} × 526 KB CT, push (goal ≥ 40 MB/s; ${cpus().length} cores shared by all processes; here SM4-CTR ${Math.round(rates.sm4)}, SM3 ${Math.round(rates.sm3)} MB/s per core)`,
      rows,
    }
  } finally {
    await region.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Region = Awaited<ReturnType<typeof startTestRegion>>

/** Real slices as a new study of `instances` images: UIDs of the same length in place of the old ones. */
async function sendStudy(region: Region, folder: string, round: number): Promise<ExamRow> {
  const source = join(unpackFixtures('ct-chest'), 'ct-chest')
  const names = readdirSync(source).sort()
  const slices = await Promise.all(
    names.map(async (name) => ({ bytes: readFileSync(join(source, name)), ...(await identityOf(join(source, name))) })),
  )
  mkdirSync(folder, { recursive: true })
  const files = Array.from({ length: instances }, (_, index) => {
    const { bytes: original, sopInstanceUid, studyInstanceUid } = slices[index % slices.length]!
    const bytes = Buffer.from(original)
    replace(bytes, sopInstanceUid, sopInstanceUid.slice(0, -7) + String(1_000_000 * round + index))
    replace(bytes, studyInstanceUid, studyInstanceUid.slice(0, -6) + String(100_000 + round))
    const file = join(folder, `${index}.dcm`)
    writeFileSync(file, bytes)
    return file
  })
  const instancesToSend = await Promise.all(files.map(async (file) => instanceOfFile(file, await identityOf(file))))
  const { dicom } = region.hospital('hospital-a')
  const deliveries = await sendInstances(dicom, instancesToSend, { callingAeTitle: 'CT01' })
  if (deliveries.some(({ kind }) => kind === 'failed')) throw new Error('the study was not stored')
  const doctor = await region.signIn('hospital-a', 'wang')
  return until(async () =>
    (await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows.find(
      (exam) => exam.studyInstanceUid?.endsWith(String(100_000 + round)) && exam.instanceCount === instances,
    ),
  )
}

function replace(bytes: Buffer, from: string, to: string): void {
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at, 'latin1')
}

async function push(region: Region, exam: ExamRow): Promise<TransferRow> {
  const [doctor, expert] = [await region.signIn('hospital-a', 'wang'), await region.signIn('hospital-c', 'chen')]
  const wish = {
    taskId: randomUUID(),
    examId: exam.examId,
    mode: 'push',
    imagesTo: 'processor',
    target: { kind: 'hospital', hospitalId: 'hospital-c' },
    urgency: 'routine',
    question: '测速',
  }
  await doctor.send('POST', '/api/consults', wish)
  return until(async () => {
    const { rows } = await expert.get<{ rows: TransferRow[] }>('/api/transfers')
    const row = rows.find(({ studyInstanceUid }) => studyInstanceUid === exam.studyInstanceUid)
    if (row?.state === 'failed') throw new Error(`transfer failed: ${row.problem?.code}`)
    return row?.state === 'complete' ? row : undefined
  })
}

async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 120_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error('not in time')
    await sleep(250)
  }
}

/** User and system time of both nodes and nats-server so far (Linux: /proc/<pid>/stat, 100 ticks a second). */
function cpuSeconds(region: Region): number[] {
  const pids = [region.node('hospital-a').pid, region.node('hospital-c').pid, region.natsPid]
  return pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  })
}

/** MB/s of one core on pieces of the usual size, on this machine now. */
function cryptoRates(): { sm4: number; sm3: number } {
  const piece = randomBytes(512 * 1024)
  const [key, iv] = [randomBytes(16), randomBytes(16)]
  const rateOf = (work: () => void) => {
    const begun = performance.now()
    let count = 0
    while (performance.now() - begun < 1_000) {
      work()
      count += 1
    }
    return (count * piece.length) / MB / ((performance.now() - begun) / 1_000)
  }
  return { sm4: rateOf(() => sm4CtrEncrypt(key, iv, piece)), sm3: rateOf(() => sm3(piece)) }
}
