import { execFile } from 'node:child_process'
import { randomInt, randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import type { ConsultDetail, ExamRow } from 'specs'
import { unpackFixtures } from '../fixtures.mjs'
import { ApiUser } from '../region/api.ts'
import { identityOf } from '../region/dicom-file.ts'
import { ProblemDetailsError } from '../region/problem-details-error.ts'

/**
 * `tsx scripts/containers/story.ts [--seconds 60]`: works with the region of docker-compose.yml as two modalities, a doctor
 * at A and an expert at C do, over the published ports: C-STORE, consultations by push and pull. With `--seconds` they go on
 * that long, while somebody updates the containers; then it is checked that everything that was answered with success is
 * there, once. Ends with 1 when something is lost. Needs DCMTK.
 */
const execute = promisify(execFile)
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '0' } } })
const until = Date.now() + Number(values.seconds) * 1_000
const password = process.env['LIANPIAN_DEMO_PASSWORD']
if (!password) throw new Error('LIANPIAN_DEMO_PASSWORD is not set')
const folder = mkdtempSync(join(tmpdir(), 'lianpian-story-'))
const repeated = { associations: 0, submissions: 0 }

try {
  const doctor = await patiently(() => ApiUser.signIn('http://127.0.0.1:8420', 'doctor', password))
  const expert = await patiently(() => ApiUser.signIn('http://127.0.0.1:8440', 'doctor', password))
  const first = await sendExam('ct-chest', 'CT01')
  const exam = await patiently(async () => {
    const rows = (await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows
    const found = rows.find(({ studyInstanceUid, instanceCount }) => studyInstanceUid === first.study && instanceCount === first.instances.length)
    if (!found) throw new Error('no exam yet')
    return found
  })
  const pushed = await submit(doctor, exam, 'push')
  const [sent, ...submitted] = await Promise.all([sendOn(), submitOn(doctor, exam), submitOn(doctor, exam)])
  const taskIds = [pushed, ...submitted.flat()]
  for (const taskId of taskIds) await consultAt(expert, taskId, ({ events }) => events.filter(({ type }) => type === 'submitted').length === 1)
  await consultAt(expert, pushed, ({ images }) => images.state === 'complete' && images.held === first.instances.length)
  for (const { study, instances } of [first, ...sent]) {
    const held = await instancesAt(doctor, study)
    const lost = instances.filter((uid) => !held.has(uid))
    if (lost.length > 0) throw new Error(`${study}: ${lost.length} of ${instances.length} images are lost`)
  }
  const images = [first, ...sent].reduce((sum, { instances }) => sum + instances.length, 0)
  process.stdout.write(`${images} images and ${taskIds.length} tasks, none lost, none twice; repeated: ${JSON.stringify(repeated)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function sendOn() {
  const sent = []
  while (Date.now() < until) sent.push(...(await Promise.all(['CT01', 'MR01'].map((aeTitle) => sendExam('ct-head-tiny', aeTitle)))))
  return sent
}

async function submitOn(doctor: ApiUser, exam: ExamRow): Promise<string[]> {
  const taskIds = [await submit(doctor, exam, 'pull')]
  for (; Date.now() < until; await sleep(500)) taskIds.push(await submit(doctor, exam, 'pull'))
  return taskIds
}

/** One exam under UIDs of its own, four images per association, each association repeated until it was answered. */
async function sendExam(set: string, aeTitle: string): Promise<{ study: string; instances: string[] }> {
  const copy = mkdtempSync(join(folder, 'exam-'))
  cpSync(join(unpackFixtures(set), set), copy, { recursive: true })
  const files = readdirSync(copy, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const study = `2.25.${randomInt(2 ** 47)}`
  await execute('dcmodify', ['-nb', '-gin', '-m', `(0020,000D)=${study}`, '-m', `(0020,000E)=${study}.1`, ...files])
  const instances: string[] = []
  for (let start = 0; start < files.length; start += 4) {
    const some = files.slice(start, start + 4)
    await patiently(() => execute('storescu', ['-aet', aeTitle, '-aec', 'YUNXI', '127.0.0.1', '11420', ...some]), () => repeated.associations++)
    for (const file of some) instances.push((await identityOf(file)).sopInstanceUid)
  }
  return { study, instances }
}

async function submit(doctor: ApiUser, { examId }: ExamRow, mode: 'push' | 'pull'): Promise<string> {
  const taskId = randomUUID()
  const application = { taskId, examId, mode, target: { kind: 'hospital', hospitalId: 'hospital-c' }, imagesTo: mode === 'push' ? 'processor' : 'none', urgency: 'routine', question: '右肺结节性质？' }
  await patiently(() => doctor.send('POST', '/api/consults', application), () => repeated.submissions++)
  return taskId
}

function consultAt(user: ApiUser, taskId: string, isRight: (consult: ConsultDetail) => boolean): Promise<void> {
  return patiently(async () => {
    const consult = await user.get<ConsultDetail>(`/api/consults/${taskId}`)
    if (!isRight(consult)) throw new Error(`${taskId}: ${consult.state}, images ${JSON.stringify(consult.images)}`)
  })
}

async function instancesAt(user: ApiUser, study: string): Promise<Set<string | undefined>> {
  const answer = await user.raw(`/dicom-web/studies/${study}/instances`, { headers: { accept: 'application/dicom+json' } })
  const rows = (await answer.json()) as Record<string, { Value?: string[] }>[]
  return new Set(rows.map((row) => row['00080018']?.Value?.[0]))
}

/** Whoever is away comes back within two minutes. A refusal that says what is wrong is not repeated. */
async function patiently<T>(call: () => Promise<T>, onFailure: () => void = () => {}): Promise<T> {
  for (const deadline = Date.now() + 120_000; ; await sleep(300)) {
    try {
      return await call()
    } catch (error) {
      const isRefusal = error instanceof ProblemDetailsError && error.status < 500 && error.status !== 404
      if (isRefusal || Date.now() > deadline) throw error
      onFailure()
    }
  }
}
