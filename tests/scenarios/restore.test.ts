import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConsultRow, ExamDetail, ExamRow, LinkStatus, MessageRow } from 'specs'
import { root } from '../../scripts/run.mjs'
import { eventually, startTestRegion } from '../support/region.ts'
import { sendStudy, stepsOf, submit, untilState } from '../support/story.ts'

/** The rehearsal of a disaster: a hospital's node is destroyed with everything on its disk and comes back from its backup (SEC-15). */
describe('a hospital whose node is destroyed', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let backups: string
  let exam: ExamRow, later: ExamRow
  /** A consultation of after the backup. */
  let afterwards: string
  let backedUpAt = 0
  const folder = () => join(region.dir, 'hospital-a', 'data')
  const wang = () => region.signIn('hospital-a', 'wang')
  const chen = () => region.signIn('hospital-c', 'chen')
  const backup = (...args: string[]) => JSON.parse(execFileSync('npx', ['tsx', join(root, 'scripts/backup/main.ts'), ...args, '--node', join(region.dir, 'hospital-a', 'config.json'), '--to', backups, '--json'], { encoding: 'utf8', env: { ...process.env, LIANPIAN_BACKUP_PASSPHRASE: 'a rehearsal of disaster' }, stdio: ['ignore', 'pipe', 'pipe'] }).trim().split('\n').at(-1)!) as Record<string, number> // prettier-ignore
  const connected = () => eventually('connected', async () => (await (await wang()).get<LinkStatus>('/api/link')).state === 'connected')

  beforeAll(async () => {
    backups = mkdtempSync(join(tmpdir(), 'lianpian-backups-'))
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'] })
    exam = await sendStudy(region, 'hospital-a', 'ct-chest', 75)
  })
  afterAll(async () => {
    await region?.close()
    rmSync(backups, { recursive: true, force: true })
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
