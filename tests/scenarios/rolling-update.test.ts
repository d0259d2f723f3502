import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from 'service-kit'
import type { ConsultRow, ExamRow, TaskDetail, TransferRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ApiUser } from '../../scripts/region/api.ts'
import { ProblemDetailsError } from '../../scripts/region/problem-details-error.ts'
import { Modality } from '../support/modality.ts'
import { makeNextVersion, type NextVersion } from '../support/next-version.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { consultOf, sendStudy, stepsOf, submit, untilImagesHeld, untilState } from '../support/story.ts'

/** As an orchestrator that has a balancer would set them; and small pieces, so that a transfer lasts as long as the update. */
const settings = { LIANPIAN_DRAIN_MS: '1000', LIANPIAN_TRANSFER_PIECE_BYTES: '32768', LIANPIAN_TRANSFER_PIECES_IN_FLIGHT: '1', LIANPIAN_TRANSFER_MAX_RETRY_WAIT_MS: '1500' }

/** What one caller saw, without repetitions: 200, 503, 'away' (nobody listens), … */
class Watch {
  readonly seen: (number | 'away')[] = []
  #stopped = false
  readonly #ended: Promise<void>

  constructor(ask: () => Promise<number>, everyMs = 50) {
    this.#ended = (async () => {
      while (!this.#stopped) {
        const now = await ask().catch((error: unknown) => (error instanceof ProblemDetailsError ? error.status : ('away' as const)))
        if (this.seen.at(-1) !== now) this.seen.push(now)
        await sleep(everyMs)
      }
    })()
  }

  async stop(): Promise<(number | 'away')[]> {
    this.#stopped = true
    await this.#ended
    return this.seen
  }
}

const statusOf = async (url: string) => (await fetch(url, { signal: AbortSignal.timeout(5_000) })).status

/** LOC-03, LOC-07: hospital A, hospital C, nats-server and hub are updated one after the other, in the middle of their work. */
describe('a rolling update in the middle of the day', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let next: NextVersion
  let folder: string
  let exam: ExamRow
  let wang: ApiUser
  let chen: ApiUser
  let modalities: Modality[]
  let readers: Watch[]
  const submitted: string[] = []
  let failedSubmissions = 0
  let updating = true
  let submitting: Promise<void>
  let pushed: string

  beforeAll(async () => {
    Object.assign(process.env, settings)
    folder = mkdtempSync(join(tmpdir(), 'lianpian-modality-'))
    next = makeNextVersion('0.1.1')
    modalities = ['CT01', 'MR01'].map((aeTitle) => new Modality(aeTitle, folder, 4))
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'] })
    exam = await sendStudy(region, 'hospital-a', 'ct-chest', 75)
    wang = await region.signIn('hospital-a', 'wang')
    chen = await region.signIn('hospital-c', 'chen')
    pushed = await submit(wang, { exam, mode: 'push' })
    await eventually('the transfer is under way', async () => ((await transfer())?.bytesDone ?? 0) > 0)
    for (const modality of modalities) modality.start(region.hospital('hospital-a').dicom)
    // The same sessions before and after: nobody is signed out by an update.
    const reading = (user: ApiUser, path: string) => async () => (await user.raw(path, { signal: AbortSignal.timeout(5_000) }).then(async (answer) => (await answer.arrayBuffer(), answer))).status
    readers = [reading(wang, '/api/exams'), reading(wang, `/dicom-web/studies/${exam.studyInstanceUid}/metadata`), reading(chen, '/api/consults?side=processor')].map((ask) => new Watch(ask, 100))
    submitting = keepSubmitting()
  })
  afterAll(async () => {
    for (const name of Object.keys(settings)) delete process.env[name]
    updating = false
    await Promise.all([...(modalities ?? []).map((modality) => modality.stop()), ...(readers ?? []).map((reader) => reader.stop()), submitting])
    await region?.close()
    next?.remove()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  const transfer = async () => (await chen.get<{ rows: TransferRow[] }>('/api/transfers')).rows.find(({ studyInstanceUid }) => studyInstanceUid === exam.studyInstanceUid)

  /** A doctor whose page repeats what was not answered, under the same task number. */
  async function keepSubmitting(): Promise<void> {
    while (updating) {
      const taskId = randomUUID()
      while (!(await submits(taskId))) await sleep(200)
      submitted.push(taskId)
      await sleep(400)
    }
  }
  async function submits(taskId: string): Promise<boolean> {
    try {
      await submit(wang, { exam, mode: 'pull', taskId })
      return true
    } catch (error) {
      // Away or going: 503. Anything else is a fault of ours and ends the test.
      if (error instanceof ProblemDetailsError && error.status !== 503) throw error
      failedSubmissions++
      return false
    }
  }

  /** What an orchestrator does: SIGTERM, the end within the grace period, then the new version with the same data. */
  async function update(service: 'hub' | 'node-agent', process: typeof region.hub): Promise<(number | 'away')[]> {
    const { healthUrl, name } = process.settings
    const health = new Watch(() => statusOf(healthUrl))
    await eventually(`${name} is healthy`, async () => health.seen.length > 0)
    await process.stop(15_000)
    expect(process.logTail(3)).toContain('"msg":"stopped"') // in order, not killed after the grace period
    process.settings.main = next.main(service)
    await process.start()
    await eventually(`${name} is the new version`, async () => ((await (await fetch(healthUrl)).json()) as { version: string }).version === next.version)
    return health.stop()
  }
  const noteColumn = async (name: string, file: string, table: string) => {
    const db = await openDatabase({ dialect: 'sqlite', file: join(region.dir, name, file) })
    try {
      return await db.all(`SELECT next_version_note FROM ${table} LIMIT 1`)
    } finally {
      await db.close()
    }
  }

  it('takes hospital A: /health says 503 before the port closes, then the new version serves, its migration made', async () => { // LOC-03, LOC-07
    expect((await transfer())?.state).not.toBe('complete')
    expect(await update('node-agent', region.node('hospital-a'))).toEqual([200, 503, 'away', 200])
    expect(await noteColumn('hospital-a', 'data/node.sqlite', 'exam')).toEqual([{ next_version_note: null }])
  })

  it('takes hospital C while it receives images', async () => { // LOC-03, AGT-16
    expect((await transfer())?.state).not.toBe('complete')
    expect(await update('node-agent', region.node('hospital-c'))).toEqual([200, 503, 'away', 200])
  })

  it('takes nats-server and the hub, and no hospital becomes unhealthy by that', async () => { // LOC-03, ARC-01
    const hospitals = region.file.hospitals.map(({ url }) => new Watch(() => statusOf(`${url}/health`)))
    await region.stopNats()
    await sleep(500) // a container takes longer to start than a process
    await region.startNats()
    expect(await update('hub', region.hub)).toEqual([200, 503, 'away', 200])
    expect(await noteColumn('hub', 'hub.sqlite', 'hospital')).toEqual([{ next_version_note: null }])
    await region.untilConnected('hospital-a', 'hospital-c')
    for (const hospital of hospitals) expect(await hospital.stop()).toEqual([200])
  })

  it('has lost no image that was answered with success', async () => { // LOC-03, ARC-02
    const sent = ({ acknowledged }: (typeof modalities)[number]) => [...acknowledged.values()].reduce((sum, { size }) => sum + size, 0)
    // Services are back sooner than a modality has sent so many: it goes on until it has.
    for (const modality of modalities) await eventually(`${modality.aeTitle} has sent enough`, () => Promise.resolve(sent(modality) > 60))
    await Promise.all(modalities.map((modality) => modality.stop()))
    for (const modality of modalities) {
      const { acknowledged, aeTitle } = modality
      expect(sent(modality), `${aeTitle} went on sending`).toBeGreaterThan(60)
      for (const [study, instances] of acknowledged) {
        const answer = await wang.raw(`/dicom-web/studies/${study}/instances`, { headers: { accept: 'application/dicom+json' } })
        const held = ((await answer.json()) as Record<string, { Value?: string[] }>[]).map((row) => row['00080018']?.Value?.[0])
        expect([...instances].filter((uid) => !held.includes(uid))).toEqual([])
      }
    }
  })

  it('has brought every task that was submitted, once, also those of the minute in which everything was away', async () => { // LOC-03, AGT-06
    updating = false
    await submitting
    expect(submitted.length).toBeGreaterThan(10)
    for (const taskId of submitted) expect(stepsOf(await untilState(chen, taskId, 'submitted'))).toEqual(['submitted'])
    const rows = (await chen.get<{ rows: ConsultRow[] }>('/api/consults?side=processor&limit=200')).rows.map(({ taskId }) => taskId)
    expect(rows.filter((taskId) => submitted.includes(taskId)).sort()).toEqual([...submitted].sort())
    const watcher = await region.signInToHub()
    for (const taskId of submitted) expect(stepsOf(await watcher.get<TaskDetail>(`/api/tasks/${taskId}`))).toEqual(['submitted'])
  })

  it('has gone on with the transfer, whole and verified at the end', async () => { // LOC-03, AGT-16
    const complete = await untilImagesHeld(chen, pushed)
    expect(complete.images).toMatchObject({ held: 75, total: 75 })
    const arrivals = async () => stepsOf(await consultOf(wang, pushed)).filter((step) => step === 'images-arrived')
    await eventually('hospital A knows', async () => (await arrivals()).length > 0)
    await sleep(1_000) // a second arrival would come now
    expect(await arrivals()).toHaveLength(1)
  })

  it('has answered readers truly or not at all, and signed nobody out', async () => { // LOC-03
    for (const reader of readers) {
      const seen = await reader.stop()
      expect([...new Set(seen)].sort()).toEqual([200, 'away'])
      expect(seen.at(-1)).toBe(200)
    }
    expect(failedSubmissions + modalities.reduce((sum, { failedAssociations }) => sum + failedAssociations, 0)).toBeGreaterThan(0) // there was something to repeat
  })
})
