import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { ConsultDetail, ConsultRow, ExamRow, KeyImage, OpinionDraft } from 'specs'
import { unpackFixtures } from '../../scripts/fixtures.mjs'
import { type ApiUser } from '../../scripts/region/api.ts'
import type { Region } from '../../scripts/region/region.ts'
import { storescu } from './dcmtk.ts'
import { eventually } from './region.ts'

export const fixtureFolder = (set: string) => join(unpackFixtures(set), set)

/** A modality's worth: the study goes to the hospital by C-STORE and becomes an exam. */
export async function sendStudy(region: Region, hospitalId: string, set: string, count: number, storescuOptions: string[] = []): Promise<ExamRow> {
  await storescu(region.hospital(hospitalId).dicom, fixtureFolder(set), storescuOptions)
  const doctor = await region.signIn(hospitalId, 'admin')
  return eventually(`${set} is an exam of ${hospitalId}`, async () => (await doctor.get<{ rows: ExamRow[] }>('/api/exams')).rows.find((exam) => exam.instanceCount === count))
}

export interface Application {
  exam: ExamRow
  mode?: 'push' | 'pull'
  target?: { kind: 'hospital'; hospitalId: string } | { kind: 'pool' }
  imagesTo?: 'processor' | 'data-centre' | 'none'
  question?: string
  /** Given when an application is repeated. */
  taskId?: string
}

/** 会诊 pressed and submitted by a doctor of the submitter. */
export async function submit(doctor: ApiUser, { exam, mode = 'push', target = { kind: 'hospital', hospitalId: 'hospital-c' }, imagesTo = mode === 'push' ? 'processor' : 'none', question = '右肺结节性质？是否需要增强检查？', taskId = randomUUID() }: Application): Promise<string> {
  await doctor.send<ConsultRow>('POST', '/api/consults', { taskId, examId: exam.examId, mode, target, imagesTo, urgency: 'routine', question })
  return taskId
}

export const consultOf = (user: ApiUser, taskId: string) => user.get<ConsultDetail>(`/api/consults/${taskId}`)

export function untilState(user: ApiUser, taskId: string, ...states: string[]): Promise<ConsultDetail> {
  return eventually(`${taskId} is ${states.join(' or ')} at ${user.url}`, async () => {
    const consult = await consultOf(user, taskId)
    return states.includes(consult.state) && consult
  })
}

export function untilImagesHeld(user: ApiUser, taskId: string, timeoutMs = 90_000): Promise<ConsultDetail> {
  return eventually(`all images of ${taskId} are at ${user.url}`, async () => {
    const consult = await consultOf(user, taskId)
    return consult.images.state === 'complete' && consult
  }, timeoutMs)
}

interface DicomJson {
  [tag: string]: { Value?: unknown[] } | undefined
}

/** The first images of the study as key images. */
export async function keyImagesOf(user: ApiUser, studyInstanceUid: string, count: number): Promise<KeyImage[]> {
  const instances = (await (await user.raw(`/dicom-web/studies/${studyInstanceUid}/instances`, { headers: { accept: 'application/dicom+json' } })).json()) as DicomJson[]
  const text = (instance: DicomJson, tag: string) => String(instance[tag]?.Value?.[0])
  return instances.slice(0, count).map((instance, index) => ({ studyInstanceUid, seriesInstanceUid: text(instance, '0020000E'), sopInstanceUid: text(instance, '00080018'), sopClassUid: text(instance, '00080016'), note: `关键影像 ${index + 1}` })) as KeyImage[]
}

/** The expert reads and signs. */
export async function sign(expert: ApiUser, taskId: string, keyImages: KeyImage[], opinion = '考虑周围型肺癌可能，建议增强CT及穿刺活检。'): Promise<void> {
  const draft: OpinionDraft = { findings: '右肺实性结节，可见分叶及毛刺。', opinion, advice: '建议胸外科门诊就诊。', keyImages }
  await expert.send('POST', `/api/consults/${taskId}/sign`, { opinion: draft, signingPassword: expert.password })
}

/** The steps of a time line without their times. */
export const stepsOf = (consult: Pick<ConsultDetail, 'events'>) => consult.events.map(({ type }) => type)
