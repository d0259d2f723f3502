import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CertificateRow, ConsultRow, ExamDetail, ExamRow, LinkStatus, MessageRow, TimelineEvent } from 'specs'
import { root } from '../../scripts/run.mjs'
import { eventually, startTestRegion } from '../support/region.ts'
import { sendStudy, stepsOf, submit, untilState } from '../support/story.ts'

let region: Awaited<ReturnType<typeof startTestRegion>>
let backups: string
const wang = () => region.signIn('hospital-a', 'wang')
const chen = () => region.signIn('hospital-c', 'chen')
const run = (script: string, ...args: string[]) => execFileSync('npx', ['tsx', join(root, script), ...args], { encoding: 'utf8', env: { ...process.env, LIANPIAN_BACKUP_PASSPHRASE: 'a rehearsal of disaster' }, stdio: ['ignore', 'pipe', 'pipe'] }) // prettier-ignore
const backupOf = (...service: string[]) => (...args: string[]) => JSON.parse(run('scripts/backup/main.ts', ...args, ...service, '--to', backups, '--json').trim().split('\n').at(-1)!) as Record<string, number> // prettier-ignore

beforeAll(async () => {
  backups = mkdtempSync(join(tmpdir(), 'lianpian-backups-'))
  region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'] })
})
afterAll(async () => {
  await region?.close()
  rmSync(backups, { recursive: true, force: true })
})

/** The rehearsal of a disaster: a hospital's node is destroyed with everything on its disk and comes back from its backup (SEC-15). */
describe('a hospital whose node is destroyed', () => {
  let exam: ExamRow, later: ExamRow
  /** A consultation of after the backup. */
  let afterwards: string
  let backedUpAt = 0
  const folder = () => join(region.dir, 'hospital-a', 'data')
  const backup = (...args: string[]) => backupOf('--node', join(region.dir, 'hospital-a', 'config.json'))(...args)
  const connected = () => eventually('connected', async () => (await (await wang()).get<LinkStatus>('/api/link')).state === 'connected')

  beforeAll(async () => {
    exam = await sendStudy(region, 'hospital-a', 'ct-chest', 75)
  })

  it('is backed up while it works, the second time at the cost of what is new', async () => { // SEC-15
    const before = await submit(await wang(), { exam, mode: 'pull' })
    await untilState(await chen(), before, 'submitted')
    const first = backup('create', '--with-vault-key')
    expect(first['files']).toBeGreaterThan(75)
    const second = backup('create', '--with-vault-key')
    backedUpAt = second['at']!
    expect(second['newBytes']).toBeLessThan(first['newBytes']! / 2)
    expect(backup('verify')['files']).toBe(second['files'])
  })

  it('comes back from the backup, with what it had then, in minutes', async () => { // SEC-15
    // What happens after the backup is what a disaster costs.
    later = await sendStudy(region, 'hospital-a', 'ct-head-tiny', 93)
    afterwards = await submit(await wang(), { exam: later, mode: 'pull' })
    await untilState(await chen(), afterwards, 'submitted')
    const destroyedAt = Date.now()
    await region.node('hospital-a').kill()
    rmSync(folder(), { recursive: true, force: true })

    const began = Date.now()
    backup('restore')
    await region.node('hospital-a').start()
    const doctor = await wang()
    const rows = (await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows
    expect(rows.find(({ examId }) => examId === exam.examId)).toMatchObject({ instanceCount: 75 })
    expect(rows.find(({ examId }) => examId === later.examId)?.instanceCount ?? 0).toBe(0)
    expect((await doctor.raw(`/dicom-web/studies/${exam.studyInstanceUid}/metadata`, { headers: { accept: 'application/dicom+json' } })).status).toBe(200)
    const clear = await doctor.send<ExamDetail>('POST', `/api/exams/${exam.examId}/unmask`, { reason: '恢复后核对' })
    expect(clear.patientName).not.toContain('*')
    await connected()
    const [recoveryMs, lossMs] = [Date.now() - began, destroyedAt - backedUpAt]
    console.log(`restore: RTO ${(recoveryMs / 1000).toFixed(1)} s from an empty folder to reading and connected (75 images, ${(clear.sizeBytes / 1e6).toFixed(0)} MB); RPO ${(lossMs / 1000).toFixed(1)} s since the last backup, at most its interval`)
    expect(recoveryMs).toBeLessThan(120_000)
    // The trail knows that this is a restored node.
    await eventually('the restoration is in the trail', async () => (await (await region.signIn('hospital-a', 'audit')).get<{ rows: unknown[] }>('/api/audit/records?action=backup.restore')).rows.length === 1)
  })

  it('catches up with the region: the consultation it has forgotten comes back, nothing is there twice, new work goes on', async () => { // AGT-06, AGT-15, SEC-15
    const doctor = await wang()
    // The examination is sent again by the modality, the hub still knows its consultation.
    const again = await sendStudy(region, 'hospital-a', 'ct-head-tiny', 93)
    expect(again.studyInstanceUid).toBe(later.studyInstanceUid)
    const fresh = await submit(doctor, { exam, mode: 'pull' })
    const arrived = await untilState(await chen(), fresh, 'submitted')
    expect(stepsOf(arrived)).toEqual(['submitted'])
    const own = await eventually('the hub has answered', async () => {
      const row = await doctor.get<ConsultRow>(`/api/consults/${fresh}`)
      return row.state === 'submitted' && row
    })
    expect(own.pending).toBeNull()
    const rows = (await doctor.get<{ rows: ConsultRow[] }>('/api/consults')).rows
    expect(new Set(rows.map(({ taskId }) => taskId)).size).toBe(rows.length)
    expect(rows.map(({ taskId }) => taskId)).toContain(afterwards)
    expect(stepsOf(await untilState(await chen(), afterwards, 'submitted'))).toEqual(['submitted'])
    // A restored trail ends earlier than the hub has witnessed; that is told and stays visible, everything else is taken.
    const messages = (await doctor.get<{ rows: MessageRow[] }>('/api/messages')).rows
    expect(messages.filter(({ problem }) => problem !== null && problem.code !== 'audit/conflict')).toEqual([])
  })
})

/** The same for the region's centre. What it had done since its backup is not lost: the nodes remember it (SEC-15, rule 1: the hub can be rebuilt from the nodes). */
describe('the hub that is destroyed', () => {
  let config: string
  const backup = (...args: string[]) => backupOf('--hub', config)(...args)
  const ledger = async (taskId: string) => (await region.signInToHub()).get<{ events: TimelineEvent[] }>(`/api/tasks/${taskId}`)
  const claim = async (taskId: string) => (await chen()).send('POST', `/api/consults/${taskId}/claim`)

  beforeAll(() => {
    // The region keeps the hub's configuration among its data; a hospital's lies elsewhere.
    config = join(region.dir, 'hub.json')
    const settings = JSON.parse(readFileSync(join(region.dir, 'hub', 'config.json'), 'utf8')) as { nats: object }
    writeFileSync(config, JSON.stringify({ ...settings, dir: 'hub', nats: { ...settings.nats, adminDir: 'hub/nats', storeDir: 'hub/nats-store' } }))
  })

  it('comes back from its backup with ledger, certificates, accounts and an unbroken trail, and learns again what it lost', async () => { // SEC-15, AGT-06, CON-18
    const exam = await sendStudy(region, 'hospital-a', 'ct-head-tiny', 93)
    const [kept, continued] = [await submit(await wang(), { exam, mode: 'pull' }), await submit(await wang(), { exam, mode: 'pull' })]
    for (const taskId of [kept, continued]) await untilState(await chen(), taskId, 'submitted')
    backup('create', '--with-vault-key')
    const backedUpAt = backup('create', '--with-vault-key')['at']!

    // After the backup: a claim of a consultation that is in it, and a whole new one with steps of both hospitals.
    await claim(continued)
    const lost = await submit(await wang(), { exam, mode: 'pull' })
    await untilState(await chen(), lost, 'submitted')
    await claim(lost)
    await untilState(await wang(), lost, 'accepted')
    await untilState(await wang(), continued, 'accepted')
    const before = await Promise.all([kept, continued, lost].map(async (taskId) => (await ledger(taskId)).events))
    const certificates = async () => (await (await region.signInToHub('security')).get<{ rows: CertificateRow[] }>('/api/certificates')).rows.map(({ serial }) => serial).sort()
    const issued = await certificates()

    const destroyedAt = Date.now()
    await region.hub.kill()
    await region.stopNats('SIGKILL')
    rmSync(join(region.dir, 'hub'), { recursive: true, force: true })
    const began = Date.now()
    backup('restore')
    await region.startNats()
    await region.hub.start()
    await region.untilConnected('hospital-a', 'hospital-c')
    const connectedAt = Date.now()
    expect((await ledger(kept)).events).toEqual(before[0])
    // In the same order and at the same times as before, though each hospital sends its own part again when it likes.
    await eventually('the ledger is what it was', async () => {
      const now = await Promise.all([continued, lost].map(async (taskId) => (await ledger(taskId)).events))
      expect(now).toEqual(before.slice(1))
      return true
    })
    console.log(`restore of the hub: RTO ${((connectedAt - began) / 1000).toFixed(1)} s from an empty folder to both hospitals connected, ${((Date.now() - began) / 1000).toFixed(1)} s until the ledger was whole; RPO ${((destroyedAt - backedUpAt) / 1000).toFixed(1)} s since the backup for what only the hub keeps, none for consultations`)
    expect(connectedAt - began).toBeLessThan(120_000)
    expect(await certificates()).toEqual(issued)

    // Both ends go on, nothing is there twice, nothing failed on the way.
    expect(stepsOf(await untilState(await wang(), lost, 'accepted'))).toEqual(['submitted', 'claimed'])
    const fresh = await submit(await wang(), { exam, mode: 'pull' })
    await untilState(await chen(), fresh, 'submitted')
    for (const user of [await wang(), await chen()]) {
      const rows = (await user.get<{ rows: ConsultRow[] }>('/api/consults')).rows.filter(({ taskId }) => [kept, continued, lost, fresh].includes(taskId))
      expect(rows.map(({ taskId }) => taskId).sort()).toEqual([kept, continued, lost, fresh].sort())
    }
    for (const id of ['hospital-a', 'hospital-c']) {
      const messages = (await (await region.signIn(id, 'admin')).get<{ rows: MessageRow[] }>('/api/messages')).rows
      expect(messages.filter(({ problem }) => problem !== null && problem.code !== 'audit/conflict')).toEqual([])
    }
    // One chain of audit from before the backup to after the restore, and it says what happened.
    const auditor = await region.signInToHub('audit')
    await eventually('the restoration is in the trail', async () => (await auditor.get<{ rows: unknown[] }>('/api/audit/records?action=backup.restore')).rows.length === 1)
    await region.hub.stop()
    const verdict = run('scripts/audit/main.ts', 'verify', '--dir', join(region.dir, 'hub'), '--json')
    expect(JSON.parse(verdict)).toMatchObject({ findings: [] })
  }, 300_000)
})
