import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DicomNode, EchoResult, ExamRow, LiveExam, TaskDetail, TransferRow } from 'specs'
import type { ApiUser } from '../../scripts/region/api.ts'
import { findscu, startStorescp, storescu } from '../support/dcmtk.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { consultOf, fixtureFolder, keyImagesOf, sendStudy, sign, stepsOf, submit, untilImagesHeld, untilState } from '../support/story.ts'

/** The main story with real processes: hospital A asks, C answers, the hub in between, a data centre beside. */
describe('a consultation between two hospitals of a region', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let exam: ExamRow
  let wang: ApiUser
  let chen: ApiUser
  let zhao: ApiUser
  let li: ApiUser
  let workstation: Awaited<ReturnType<typeof startStorescp>>

  beforeAll(async () => {
    region = await startTestRegion()
    exam = await sendStudy(region, 'hospital-a', 'ct-chest', 75)
    workstation = await startStorescp('WORKSTATION')
    ;[wang, chen, zhao, li] = await Promise.all([region.signIn('hospital-a', 'wang'), region.signIn('hospital-c', 'chen'), region.signIn('hospital-c', 'zhao'), region.signIn('hospital-b', 'li')])
  })
  afterAll(async () => {
    await workstation?.stop()
    await region?.close()
  })

  it('keeps and finds what the modality sent: 75 instances, registered, answered by C-FIND', async () => { // FED-21, ARC-02, ARC-09
    const found = await findscu(region.hospital('hospital-a').dicom, ['QueryRetrieveLevel=STUDY', `StudyInstanceUID=${exam.studyInstanceUid}`, 'NumberOfStudyRelatedInstances'])
    expect(found).toContain('(0020,1208) IS [75')
  })

  it('takes the same study again without a second copy', async () => { // FED-22, ARC-12
    await storescu(region.hospital('hospital-a').dicom, fixtureFolder('ct-chest'))
    const again = await wang.get<ExamRow>(`/api/exams/${exam.examId}`)
    expect([again.instanceCount, again.sizeBytes]).toEqual([exam.instanceCount, exam.sizeBytes])
  })

  it('answers C-ECHO of a registered DICOM node, and tells why when nobody is there', async () => { // FED-15
    const admin = await region.signIn('hospital-c', 'admin')
    const { aeTitle, host, port } = workstation
    const node = await admin.send<DicomNode>('POST', '/api/dicom-nodes', { aeTitle, host, port, description: '诊断工作站', allowed: true, forwardPushed: true })
    expect(await admin.send<EchoResult>('POST', `/api/dicom-nodes/${node.id}/echo`)).toMatchObject({ ok: true })
    const nobody = await admin.send<DicomNode>('POST', '/api/dicom-nodes', { aeTitle: 'NOBODY', host: '127.0.0.1', port: 9, description: '', allowed: false, forwardPushed: false })
    expect(await admin.send<EchoResult>('POST', `/api/dicom-nodes/${nobody.id}/echo`)).toMatchObject({ ok: false, code: 'dimse/unreachable' })
  })

  it('travels by push: request and images arrive, the opinion with two key images comes back, everybody has one time line', async () => { // FED-10, CON-01, CON-09, CON-10, CON-18
    const taskId = await submit(wang, { exam })
    const arrived = await untilImagesHeld(chen, taskId)
    expect(arrived.images).toMatchObject({ held: 75, total: 75 })
    expect(arrived.request?.question).toContain('结节')
    expect(arrived.patientName).toBe(exam.patientName || arrived.patientName)

    await chen.send('POST', `/api/consults/${taskId}/claim`, {})
    await chen.send('POST', `/api/consults/${taskId}/start`, {})
    const keyImages = await keyImagesOf(chen, exam.studyInstanceUid!, 2)
    await sign(chen, taskId, keyImages)

    const returned = await untilState(wang, taskId, 'returned')
    expect(returned.opinion?.text.opinion).toContain('周围型肺癌')
    expect(returned.opinion?.text.keyImages).toHaveLength(2)
    expect(returned.opinionValid).toBe(true)
    await wang.send('POST', `/api/consults/${taskId}/read`, {})
    const atA = await untilState(wang, taskId, 'read')
    const atC = await untilState(chen, taskId, 'read')
    const atHub = await eventually('the hub shows it as read', async () => {
      const task = await (await region.signInToHub()).get<TaskDetail>(`/api/tasks/${taskId}`)
      return task.state === 'read' && task
    })
    expect(stepsOf(atA)).toEqual(expect.arrayContaining(['submitted', 'images-arrived', 'claimed', 'started', 'signed', 'returned', 'read']))
    const line = (events: typeof atA.events) => events.map(({ revision, type, by, sequencedAt }) => ({ revision, type, who: by.name, where: by.hospitalId, when: sequencedAt }))
    expect(line(atC.events)).toEqual(line(atA.events))
    expect(line(atHub.events)).toEqual(line(atA.events))

    const series = (await (await wang.raw(`/dicom-web/studies/${exam.studyInstanceUid}/series?Modality=KO`, { headers: { accept: 'application/dicom+json' } })).json()) as unknown[]
    expect(series.length).toBeGreaterThanOrEqual(1)
    // FED-15: what arrived by push went on to the processor's workstation.
    await eventually('the workstation has the study', () => Promise.resolve(workstation.received() >= 75), 60_000)
  })

  it('travels by pull: nothing moves until the expert opens, then through the agent of the submitter', async () => { // FED-10, FED-14, AGT-08, AGT-10, CON-12
    const mr = await sendStudy(region, 'hospital-a', 'mr-overlay', 1)
    const taskId = await submit(wang, { exam: mr, mode: 'pull', target: { kind: 'hospital', hospitalId: 'hospital-b' } })
    const offered = await untilState(li, taskId, 'submitted')
    expect(offered.images.held).toBe(0)

    await wang.send('PATCH', `/api/exams/${mr.examId}`, { clinicalHistory: '补充病史：近一周出现发热。' })
    const live = await li.get<LiveExam>(`/api/consults/${taskId}/exam`)
    expect(live).toMatchObject({ source: 'live', exam: { clinicalHistory: '补充病史：近一周出现发热。' } })

    await li.send('POST', `/api/consults/${taskId}/claim`, {})
    const [image] = await keyImagesOf(li, mr.studyInstanceUid!, 1)
    const file = `/wado?requestType=WADO&studyUID=${image?.studyInstanceUid}&seriesUID=${image?.seriesInstanceUid}&objectUID=${image?.sopInstanceUid}&contentType=application/dicom`
    expect((await li.raw(file)).status).toBe(403) // SEC-10: a consultation entrusts the looking, not the files
    const own = await wang.raw(file)
    expect(new TextDecoder().decode(new Uint8Array(await own.arrayBuffer()).slice(128, 132))).toBe('DICM')
    const again = await li.raw(`/wado?requestType=WADO&studyUID=${image?.studyInstanceUid}&seriesUID=${image?.seriesInstanceUid}&objectUID=${image?.sopInstanceUid}&contentType=image/jpeg`)
    expect(again.headers.get('content-type')).toContain('image/jpeg')
    await untilImagesHeld(li, taskId)
    await sign(li, taskId, [])
    await untilState(wang, taskId, 'returned')
  })

  it('refuses images to a hospital that nobody granted them', async () => { // AGT-08, FED-24
    const us = await sendStudy(region, 'hospital-b', 'us-rgb', 1).catch(() => undefined)
    const uid = us?.studyInstanceUid ?? exam.studyInstanceUid
    const stranger = us ? chen : li
    const answer = await stranger.raw(`/dicom-web/studies/${uid}/metadata`, { headers: { accept: 'application/dicom+json' } })
    expect([403, 404]).toContain(answer.status)
    expect((await fetch(`${region.hospital('hospital-a').url}/wado?requestType=WADO&studyUID=${uid}&seriesUID=1&objectUID=1`)).status).toBe(401)
  })

  it('tells the second expert who holds the case, at which hospital and since when', async () => { // COR-14, COR-15
    const taskId = await submit(wang, { exam, mode: 'push', target: { kind: 'pool' }, imagesTo: 'data-centre' })
    await Promise.all([untilState(chen, taskId, 'submitted'), untilState(li, taskId, 'submitted')])
    const outcomes = await Promise.allSettled([chen, zhao, li].map((expert) => expert.send('POST', `/api/consults/${taskId}/claim`, {})))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'consult/held', details: { facts: { by: { name: expect.any(String) as string, hospitalId: expect.any(String) as string, since: expect.any(Number) as number } } } })
    }
    // The images went ahead to the data centre, and from there to whoever took the case.
    const holder = (await consultOf(wang, taskId)).holder
    const reader = [chen, zhao, li].find((_, index) => outcomes[index]?.status === 'fulfilled')!
    await untilImagesHeld(reader, taskId)
    expect(holder?.since).toBeGreaterThan(0)
    const centre = await region.signIn('data-centre', 'admin')
    await eventually('the data centre holds the study', async () => {
      const { rows } = await centre.get<{ rows: TransferRow[] }>('/api/transfers')
      return rows.some(({ studyInstanceUid, state, direction }) => studyInstanceUid === exam.studyInstanceUid && state === 'complete' && direction === 'in')
    }, 60_000)
  })

  it('is withdrawn everywhere when cancelled, and cannot be cancelled once signed', async () => { // CON-20
    const taskId = await submit(wang, { exam, mode: 'pull' })
    await untilState(chen, taskId, 'submitted')
    await wang.send('POST', `/api/consults/${taskId}/cancel`, { reason: '患者已转院' })
    await untilState(chen, taskId, 'cancelled')
    await expect(chen.send('POST', `/api/consults/${taskId}/claim`, {})).rejects.toMatchObject({ status: expect.any(Number) as number })

    const second = await submit(wang, { exam, mode: 'pull' })
    await untilState(chen, second, 'submitted')
    await chen.send('POST', `/api/consults/${second}/claim`, {})
    await sign(chen, second, [])
    await untilState(wang, second, 'returned', 'read')
    await expect(wang.send('POST', `/api/consults/${second}/cancel`, { reason: '太晚了' })).rejects.toMatchObject({ code: 'consult/already-signed' })
  })

  it('lets an expert list what is open, by hospital, modality and state', async () => { // CON-11
    const taskId = await submit(wang, { exam, mode: 'pull' })
    await untilState(chen, taskId, 'submitted')
    const open = await chen.get<{ rows: { taskId: string }[] }>('/api/consults?side=processor&state=submitted&hospital=hospital-a&modality=CT')
    expect(open.rows.map((row) => row.taskId)).toContain(taskId)
    const none = await chen.get<{ rows: unknown[] }>('/api/consults?side=processor&state=submitted&hospital=hospital-b')
    expect(none.rows).toHaveLength(0)
  })

  it('refuses a task type or a kind that the region did not enable', async () => { // FED-12, FED-13, FED-14
    const admin = await region.signInToHub()
    const hospitals = await admin.get<Record<string, unknown>[]>('/api/hospitals')
    const a = hospitals.find(({ id }) => id === 'hospital-a')!
    const entry = (change: object) => Object.fromEntries(Object.entries({ ...a, ...change }).filter(([key]) => ['id', 'name', 'code', 'agentAddress', 'kinds', 'taskTypes', 'flowModes'].includes(key)))
    await admin.send('PUT', '/api/hospitals/hospital-a', entry({ flowModes: ['pull'] }))
    await eventually('hospital A knows', async () => (await wang.get<{ flowModes: string[] }>('/api/hospital')).flowModes.length === 1)
    await expect(submit(wang, { exam, mode: 'push' })).rejects.toMatchObject({ code: 'region/flow-mode-disabled' })
    await admin.send('PUT', '/api/hospitals/hospital-a', entry({ taskTypes: ['review'] }))
    await eventually('hospital A knows', async () => !(await wang.get<{ taskTypes: string[] }>('/api/hospital')).taskTypes.includes('consultation'))
    await expect(submit(wang, { exam, mode: 'pull' })).rejects.toMatchObject({ code: 'region/task-type-disabled' })
    await admin.send('PUT', '/api/hospitals/hospital-a', entry({}))
  })
})
