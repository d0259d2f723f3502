import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConsultRow, ExamRow, LinkStatus, TransferRow } from 'specs'
import { type ApiUser } from '../../scripts/region/api.ts'
import { storescu } from '../support/dcmtk.ts'
import { Line } from '../support/line.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { fixtureFolder, sendStudy, stepsOf, submit, untilImagesHeld, untilState } from '../support/story.ts'

/** Step 6 of the story: the line is cut in the middle, the process is killed, and nothing is lost or arrives twice. */
describe('a hospital whose line is cut and whose process is killed', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let line: Line
  let exam: ExamRow
  const wang = () => region.signIn('hospital-a', 'wang')
  const chen = () => region.signIn('hospital-c', 'chen')

  async function restart(id: string) {
    await region.node(id).kill()
    await region.node(id).start()
  }
  const incoming = async (expert: ApiUser) => (await expert.get<{ rows: ConsultRow[] }>('/api/consults?side=processor')).rows
  const instancesHeld = async (user: ApiUser) => {
    const answer = await user.raw(`/dicom-web/studies/${exam.studyInstanceUid}/instances`, { headers: { accept: 'application/dicom+json' } })
    return ((await answer.json()) as unknown[]).length
  }

  beforeAll(async () => {
    region = await startTestRegion({
      hospitals: ['hospital-a', 'hospital-c'],
      change: async (plan) => {
        line = await Line.open({ host: plan.host, port: plan.natsPort })
        const natsUrl = `nats://127.0.0.1:${line.port}`
        return { ...plan, hospitals: plan.hospitals.map((hospital) => (hospital.id === 'hospital-a' ? { ...hospital, natsUrl } : hospital)) }
      },
    })
    exam = await sendStudy(region, 'hospital-a', 'ct-chest', 75)
  })
  afterAll(async () => {
    await region?.close()
    await line?.close()
  })

  it('keeps a consultation that was submitted while the line was down and the process killed, and delivers it once', async () => { // AGT-06, AGT-15, CON-18
    line.cut()
    const doctor = await wang()
    const taskId = await submit(doctor, { exam, mode: 'pull' })
    expect((await doctor.get<ConsultRow>(`/api/consults/${taskId}`)).state).toBe('queued')
    await restart('hospital-a')
    expect((await (await wang()).get<ConsultRow>(`/api/consults/${taskId}`)).state).toBe('queued')
    const expert = await chen()
    expect((await incoming(expert)).filter((row) => row.taskId === taskId)).toHaveLength(0)
    line.mend()
    const arrived = await untilState(expert, taskId, 'submitted')
    expect(stepsOf(arrived)).toEqual(['submitted'])
    expect((await incoming(expert)).filter((row) => row.taskId === taskId)).toHaveLength(1)
  })

  it('sends what was written during the outage in order, once each', async () => { // AGT-06, AGT-07, AGT-16
    line.cut()
    const doctor = await wang()
    const taskIds: string[] = []
    for (let index = 0; index < 10; index++) taskIds.push(await submit(doctor, { exam, mode: 'pull', question: `第${index + 1}个问题` }))
    line.mend()
    const expert = await chen()
    await untilState(expert, taskIds.at(-1)!, 'submitted')
    const rows = (await incoming(expert)).filter((row) => taskIds.includes(row.taskId))
    expect(rows).toHaveLength(10)
    const details = await Promise.all(taskIds.map((taskId) => expert.get<{ events: { sequencedAt: number }[] }>(`/api/consults/${taskId}`)))
    const times = details.map(({ events }) => events[0]!.sequencedAt)
    expect([...times].sort((a, b) => a - b)).toEqual(times)
    await eventually('nothing is pending at hospital A', async () => (await (await region.signIn('hospital-a', 'admin')).get<LinkStatus>('/api/link')).pendingMessages === 0)
  })

  it('accepts every image during the outage and holds them after a kill', async () => { // AGT-15, ARC-02
    line.cut()
    await storescu(region.hospital('hospital-a').dicom, fixtureFolder('ct-head-tiny'))
    await restart('hospital-a')
    const doctor = await wang()
    const exams = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    expect(exams.rows.map(({ instanceCount }) => instanceCount).sort((a, b) => a - b)).toEqual([75, 93])
    line.mend()
    await region.untilConnected('hospital-a')
  })

  it('goes on where it stopped when the line is cut in the middle of a push and the sender is killed', async () => { // AGT-16, CON-09
    const taskId = await (async () => {
      line.cutAfter(12_000_000)
      return submit(await wang(), { exam, mode: 'push' })
    })()
    await eventually('the line was cut in the middle', async () => line.isCut)
    const expert = await chen()
    const before = await eventually('part of the images is at C', async () => {
      const row = (await expert.get<{ rows: TransferRow[] }>('/api/transfers')).rows.find(({ studyInstanceUid }) => studyInstanceUid === exam.studyInstanceUid)
      return row && row.bytesDone > 0 && row
    })
    expect(before.state).not.toBe('complete')
    await restart('hospital-a')
    const sentBefore = line.bytesOut
    line.mend()
    await untilImagesHeld(expert, taskId)
    // What was already there was not sent again: less than the whole study crossed the line after the cut.
    const sentAfter = line.bytesOut - sentBefore
    expect(sentAfter).toBeLessThan(exam.sizeBytes - before.bytesDone + 6_000_000)
    expect(await instancesHeld(expert)).toBe(75)
    expect(stepsOf(await untilState(await wang(), taskId, 'submitted')).filter((type) => type === 'images-arrived')).toHaveLength(1)
  })

  it('goes on where it stopped when the receiver is killed in the middle', async () => { // AGT-16
    // -xy: storescu proposes JPEG baseline, as the file is stored.
    const xa = await sendStudy(region, 'hospital-a', 'xa-multiframe', 1, ['-xy'])
    line.cutAfter(600_000)
    const taskId = await submit(await wang(), { exam: xa, mode: 'push' })
    await eventually('the line was cut in the middle', async () => line.isCut)
    await restart('hospital-c')
    line.mend()
    const expert = await chen()
    const complete = await untilImagesHeld(expert, taskId)
    expect(complete.images).toMatchObject({ held: 1, total: 1 })
  })

  it('survives the message server losing everything it had stored', async () => { // AGT-06, FED-04
    await region.stopNats('SIGKILL')
    const taskId = await submit(await wang(), { exam, mode: 'pull', question: '消息服务器停机期间提交' })
    const { rmSync } = await import('node:fs')
    rmSync(`${region.dir}/hub/nats-store/jetstream`, { recursive: true, force: true })
    await region.startNats()
    await untilState(await chen(), taskId, 'submitted')
    await region.hub.kill()
    await region.hub.start()
    const expert = await chen()
    await expert.send('POST', `/api/consults/${taskId}/claim`, {})
    await untilState(await wang(), taskId, 'accepted')
  })
})

