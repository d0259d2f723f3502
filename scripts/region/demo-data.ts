import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExamRegistration, ExamRow } from 'specs'
import { sendInstances } from '../../node-agent/src/dimse/scu.ts'
import { instanceOfFile } from '../../node-agent/src/dimse/stored-instance.ts'
import { unpackFixtures } from '../fixtures.mjs'
import { identityOf } from './dicom-file.ts'
import type { Region } from './region.ts'

interface DemoStudy {
  hospitalId: string
  /** Set of fixtures/dicom. */
  set: string
  callingAeTitle: string
  /** What the RIS knows before the images come: invented, as are all names. */
  exam: ExamRegistration
}

const demoStudies: DemoStudy[] = [
  {
    hospitalId: 'hospital-a',
    set: 'ct-chest',
    callingAeTitle: 'CT01',
    exam: {
      accessionNumber: 'YX26112001', patientId: 'YX0031846', patientName: '张秀兰', patientSex: 'F', patientBirthDate: '1961-04-12', modality: 'CT', bodyPart: '胸部', description: '胸部CT平扫（1mm）',
      studyDate: '2026-11-20', studyTime: '09:26:00', studyInstanceUid: '1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159',
      clinicalHistory: '女，65岁。咳嗽、咳痰3周，偶有痰中带血1周，无发热。既往体健，配偶长期吸烟。外院胸片提示右肺门阴影。',
      reportFindings: '右肺门旁见软组织肿块影，边缘不规则，可见毛刺，邻近支气管受压。周围见斑片及索条影。双侧胸腔未见积液。',
      reportImpression: '右肺门旁占位，性质待定，建议上级医院会诊。',
    },
  },
  {
    hospitalId: 'hospital-a',
    set: 'mr-overlay',
    callingAeTitle: 'MR01',
    exam: {
      accessionNumber: 'YX26112007', patientId: 'YX0029410', patientName: '刘桂芳', patientSex: 'F', patientBirthDate: '1974-09-03', modality: 'MR', bodyPart: '腹部', description: '腹部MR平扫',
      studyDate: '2026-11-20', studyTime: '14:05:00', studyInstanceUid: null,
      clinicalHistory: '女，52岁。体检发现肝内占位，既往体健。', reportFindings: '', reportImpression: '',
    },
  },
  {
    hospitalId: 'hospital-b',
    set: 'us-echo',
    callingAeTitle: 'US01',
    exam: {
      accessionNumber: 'QL26111915', patientId: 'QL0118237', patientName: '周小雨', patientSex: 'F', patientBirthDate: '2021-06-18', modality: 'US', bodyPart: '心脏', description: '小儿超声心动图',
      studyDate: '2026-11-19', studyTime: '10:40:00', studyInstanceUid: null,
      clinicalHistory: '女，5岁。入学体检闻及心脏杂音，无发绀，生长发育正常。', reportFindings: '', reportImpression: '',
    },
  },
  {
    hospitalId: 'hospital-b',
    set: 'xa-multiframe',
    callingAeTitle: 'XA01',
    exam: {
      accessionNumber: 'QL26111822', patientId: 'QL0097655', patientName: '何志强', patientSex: 'M', patientBirthDate: '1958-01-27', modality: 'XA', bodyPart: '冠状动脉', description: '冠状动脉造影',
      studyDate: '2026-11-18', studyTime: '16:12:00', studyInstanceUid: null,
      clinicalHistory: '男，68岁。劳力性胸痛2月，冠脉CTA提示前降支狭窄。', reportFindings: '', reportImpression: '',
    },
  },
]

/**
 * Registers the demo exams and sends their images as modalities do (C-STORE), once per region.
 * @returns how many studies were sent; 0 when the region has them already.
 */
export async function sendDemoStudies(region: Region, say: (sentence: string) => void): Promise<number> {
  const mark = join(region.dir, 'demo-studies.json')
  const done = new Set<string>(existsSync(mark) ? (JSON.parse(readFileSync(mark, 'utf8')) as string[]) : [])
  let sent = 0
  for (const study of demoStudies) {
    if (done.has(study.set) || !region.nodes.has(study.hospitalId)) continue
    say(`${study.callingAeTitle} 发送 sends ${study.set} → ${region.hospital(study.hospitalId).name}`)
    await sendStudy(region, study)
    done.add(study.set)
    writeFileSync(mark, JSON.stringify([...done]))
    sent += 1
  }
  return sent
}

async function sendStudy(region: Region, { hospitalId, set, callingAeTitle, exam }: DemoStudy): Promise<void> {
  const folder = join(unpackFixtures(set), set)
  const files = (await readdir(folder)).sort().map((file) => join(folder, file))
  const { dicom } = region.hospital(hospitalId)
  const registrar = await region.signIn(hospitalId, 'admin')
  const identities = await Promise.all(files.map(identityOf))
  // The study UID of the order is the one the modality will use (worklist); here the files already exist.
  await registrar.send('POST', '/api/exams', { ...exam, studyInstanceUid: identities[0]?.studyInstanceUid ?? null } satisfies ExamRegistration)
  const deliveries = await sendInstances(
    dicom,
    files.map((file, index) => instanceOfFile(file, identities[index]!)),
    { callingAeTitle },
  )
  const failed = deliveries.find((delivery) => delivery.kind === 'failed')
  if (failed) throw new Error(`${set}: ${failed.sopInstanceUid} was not accepted`, { cause: failed.problem })
  const deadline = Date.now() + 20_000
  for (;;) {
    const { rows } = await registrar.get<{ rows: ExamRow[] }>(`/api/exams?text=${exam.accessionNumber}`)
    if (rows[0] && rows[0].instanceCount >= files.length) return
    if (Date.now() > deadline) throw new Error(`${set}: the exam did not get its images`)
    await sleep(100)
  }
}
