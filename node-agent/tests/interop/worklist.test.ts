import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import dcmjsDimse from 'dcmjs-dimse'
import { HospitalId, type PerformedStepRow, type StudyLogRow, type WorklistRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { itemsAt, readDataSet, textAt, writeDataSet, type DataItem } from '../../src/dicom/data-set.ts'
import { writeFileMeta } from '../../src/dicom/file-meta.ts'
import { EXPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { MODALITY_PERFORMED_PROCEDURE_STEP, MODALITY_WORKLIST_FIND } from '../../src/dimse/sop-classes.ts'
import { dataSetOf, type WorklistItem } from '../../src/worklist/item.ts'
import { datasetIn, freePort, run, startPeer } from './dimse-support.ts'
import { TestHospital } from '../support/region.ts'

const { Client, Dataset, log, requests } = dcmjsDimse
log.setLevel('error')
const today = new Date().toLocaleDateString('sv-SE')
const day = today.replaceAll('-', '')

describe('modalities and their worklist', () => {
  let folder: string
  let hospital: TestHospital
  let registrar: ApiUser
  let admin: ApiUser
  let doctor: ApiUser
  const scheduled = new Map<string, WorklistRow>()

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-worklist-'))
    hospital = await TestHospital.start(folder, HospitalId.parse('hospital-a'), '云溪县人民医院', { dimse: { host: '127.0.0.1', port: 0, aeTitle: 'YUNXI' } })
    ;[registrar, admin, doctor] = await Promise.all([hospital.signIn('registrar'), hospital.signIn('admin'), hospital.signIn('doctor')])
    const device = { host: '127.0.0.1', port: 11_999 }
    await admin.send('POST', '/api/dicom-nodes', { ...device, aeTitle: 'CT01', permissions: ['store', 'worklist'], ownWorklist: true })
    await admin.send('POST', '/api/dicom-nodes', { ...device, aeTitle: 'MR01', permissions: ['store', 'worklist'], charset: 'GB18030', scope: { modalities: ['MR'] } })
    await admin.send('POST', '/api/dicom-nodes', { ...device, aeTitle: 'ALL01', permissions: ['worklist'] })
    await admin.send('POST', '/api/dicom-nodes', { ...device, aeTitle: 'DUMB', permissions: ['store', 'query'] })
    const drafts = [
      { patientId: 'P1', patientName: 'Zhang^SanFeng=张^三丰', modality: 'CT', scheduledStationAeTitle: 'CT01', startTime: '08:30', accessionNumber: 'A1', performingPhysician: '王伟', requestedProcedureCode: { codeValue: 'CTHEAD', codingSchemeDesignator: 'L', codeMeaning: '头颅平扫' }, protocolCodes: [{ codeValue: 'P5', codingSchemeDesignator: 'L', codeMeaning: '5mm' }], allergies: '碘', comments: '急诊' },
      { patientId: 'P2', patientName: '李四', modality: 'CT', scheduledStationAeTitle: 'CT02', startTime: '09:00', accessionNumber: 'A2' },
      { patientId: 'P3', patientName: '欧阳^娜娜', modality: 'MR', startTime: '10:00', accessionNumber: 'A3', patientSex: 'F', patientWeight: '52.5' },
      { patientId: 'P4', patientName: '赵六', modality: 'CT', startTime: '23:30', accessionNumber: 'A4', startDate: '2099-01-01' },
    ]
    for (const draft of drafts) {
      const row = await registrar.send<WorklistRow>('POST', '/api/worklist', { startDate: today, patientSex: 'M', ...draft })
      scheduled.set(draft.patientId, row)
    }
  }, 60_000)
  afterAll(async () => {
    await hospital.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** findscu -W; the answers as data sets. */
  async function ask(aet: string, keys: readonly string[], port = hospital.node.dimsePort, aec = 'YUNXI'): Promise<{ answers: DataItem[]; output: string }> {
    const into = await mkdtemp(join(folder, 'answers-'))
    const { output } = await run('findscu', ['-v', '-W', '-X', '-od', into, '-aet', aet, '-aec', aec, ...keys.flatMap((key) => ['-k', key]), '127.0.0.1', String(port)])
    const answers: DataItem[] = []
    for (const name of (await readdir(into)).sort()) {
      const { bytes, transferSyntaxUid } = datasetIn(await readFile(join(into, name)))
      answers.push(readDataSet(bytes, transferSyntaxUid))
    }
    return { answers, output }
  }
  const patients = (answers: readonly DataItem[]) => answers.map((answer) => textAt(answer, 'PatientID')).sort()
  const step = (key: string) => `ScheduledProcedureStepSequence[0].${key}`

  it('is told to a device as far as it is meant: its own, its modality, its day', async () => {
    // PS3.4 K; IHE RAD SWF
    const keys = ['PatientName', 'PatientID', step('ScheduledStationAETitle'), step(`ScheduledProcedureStepStartDate=${day}`), step('Modality')]
    expect(patients((await ask('CT01', keys)).answers)).toEqual(['P1', 'P3']) // its own and what is for no device in particular
    expect(patients((await ask('ALL01', keys)).answers)).toEqual(['P1', 'P2', 'P3'])
    expect(patients((await ask('MR01', keys)).answers)).toEqual(['P3']) // within its scope
    expect(patients((await ask('ALL01', ['PatientID', step('Modality=CT')])).answers)).toEqual(['P1', 'P2', 'P4'])
    expect(patients((await ask('ALL01', ['PatientID', step(`ScheduledProcedureStepStartDate=${day}-${day}`), step('ScheduledProcedureStepStartTime=085900-100000')])).answers)).toEqual(['P2', 'P3'])
    expect(patients((await ask('ALL01', ['PatientID', 'PatientName=张*'])).answers)).toEqual(['P1'])
    expect(patients((await ask('ALL01', ['PatientID', step('ScheduledPerformingPhysicianName=王*')])).answers)).toEqual(['P1'])
  })

  it('holds names, codes and sequences in the character set of the device', async () => {
    // LOC: old modalities read GB18030
    const [utf8] = (await ask('ALL01', ['PatientName', 'PatientID=P1', 'Allergies', 'StudyInstanceUID', 'RequestedProcedureCodeSequence', step('ScheduledProtocolCodeSequence'), step('CommentsOnTheScheduledProcedureStep')])).answers
    if (!utf8) throw new Error('no answer')
    expect([textAt(utf8, 'SpecificCharacterSet'), textAt(utf8, 'PatientName'), textAt(utf8, 'Allergies')]).toEqual(['ISO_IR 192', 'Zhang^SanFeng=张^三丰', '碘'])
    expect(textAt(itemsAt(utf8, 'RequestedProcedureCodeSequence')[0] ?? [], 'CodeMeaning')).toBe('头颅平扫')
    const [own] = itemsAt(utf8, 'ScheduledProcedureStepSequence')
    expect(textAt(itemsAt(own ?? [], 'ScheduledProtocolCodeSequence')[0] ?? [], 'CodeValue')).toBe('P5')
    expect(textAt(utf8, 'StudyInstanceUID')).toBe(scheduled.get('P1')?.studyInstanceUid)
    const [gb] = (await ask('MR01', ['PatientName', 'PatientID=P3'])).answers
    expect([textAt(gb ?? [], 'SpecificCharacterSet'), textAt(gb ?? [], 'PatientName')]).toEqual(['GB18030', '欧阳^娜娜'])
  })

  it('is not for devices that are registered for other things, nor for strangers', async () => {
    expect((await ask('DUMB', ['PatientID'])).output).toMatch(/Not ?Authorized|0x0124|Unknown Status: 0x124/i)
    expect((await ask('STRANGER', ['PatientID'])).output).toContain('Calling AE Title Not Recognized')
  })

  it('answers as the worklist server of DCMTK does on the same items', async () => {
    // Independent judge: wlmscpfs reads the same items from files.
    const { rows } = await registrar.get<{ rows: WorklistRow[] }>('/api/worklist?limit=200')
    const served = join(folder, 'wl', 'YUNXI')
    await mkdir(served, { recursive: true })
    await writeFile(join(served, 'lockfile'), '')
    const clear: Record<string, Partial<WorklistItem>> = { P1: { patientName: 'ZHANG^SANFENG' }, P2: { patientName: 'LI^SI' }, P3: { patientName: 'OUYANG^NANA' }, P4: { patientName: 'ZHAO^LIU' } }
    for (const row of rows) {
      const item = { ...row, ...clear[row.patientId], pregnancyStatus: null } as unknown as WorklistItem
      const meta = writeFileMeta({ sopClassUid: MODALITY_WORKLIST_FIND, sopInstanceUid: `2.25.${row.scheduledStepId.length}${rows.indexOf(row)}`, transferSyntaxUid: EXPLICIT_LE })
      const withoutEmpty = dataSetOf(item).filter(({ items }) => items === undefined || items.length > 0)
      await writeFile(join(served, `${row.patientId}.wl`), Buffer.concat([meta, writeDataSet(withoutEmpty, EXPLICIT_LE, 'ISO_IR 192')]))
    }
    const port = await freePort()
    const judge = await startPeer('wlmscpfs', ['-dfr', '-dfp', join(folder, 'wl'), String(port)], port)
    try {
      const questions = [
        ['PatientID', step('Modality=CT')],
        ['PatientID', step('Modality=MR')],
        ['PatientID', step(`ScheduledProcedureStepStartDate=${day}`)],
        ['PatientID', step(`ScheduledProcedureStepStartDate=${day}-`)],
        ['PatientID', step('ScheduledStationAETitle=CT01')],
        ['PatientID', 'AccessionNumber=A3'],
        ['PatientID=P2'],
        ['PatientID', 'RequestedProcedureID=A2', step('Modality=CT')],
        ['PatientID', 'RequestedProcedureID=A2', step('Modality=MR')],
      ]
      for (const keys of questions) {
        const [ours, theirs] = [await ask('ALL01', keys), await ask('ALL01', keys, port)]
        expect(patients(ours.answers), keys.join(' ')).toEqual(patients(theirs.answers))
      }
    } finally {
      await judge.stop()
    }
  }, 60_000)

  type Answered = { status: number; uid: string | undefined; errorId: number | undefined }

  /** N-CREATE or N-SET of dcmjs-dimse. */
  function send(request: InstanceType<typeof requests.NCreateRequest>, aet = 'CT01'): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const client = new Client()
      let answer: Answered | undefined
      request.on('response', (response) => {
        const elements = response.getCommandDataset().getElements() as Record<string, unknown>
        answer = { status: response.getStatus(), uid: elements['AffectedSOPInstanceUID'] as string | undefined, errorId: elements['ErrorID'] as number | undefined }
      })
      client.addRequest(request)
      client.on('networkError', reject)
      client.on('closed', () => (answer ? resolve(answer) : reject(new Error('no answer'))))
      client.send('127.0.0.1', hospital.node.dimsePort, aet, 'YUNXI')
    })
  }
  const create = (uid: string, elements: Record<string, unknown>, aet?: string) => {
    const request = new requests.NCreateRequest(MODALITY_PERFORMED_PROCEDURE_STEP, uid)
    request.setDataset(new Dataset(elements))
    return send(request, aet)
  }
  const set = (uid: string, elements: Record<string, unknown>, aet?: string) => {
    const request = new requests.NSetRequest(MODALITY_PERFORMED_PROCEDURE_STEP, uid)
    request.setDataset(new Dataset(elements))
    return send(request as unknown as InstanceType<typeof requests.NCreateRequest>, aet)
  }
  const beginning = (row: WorklistRow, more: Record<string, unknown> = {}) => ({
    SpecificCharacterSet: 'ISO_IR 192',
    Modality: row.modality,
    PatientName: '',
    PatientID: row.patientId,
    ScheduledStepAttributesSequence: [{ StudyInstanceUID: row.studyInstanceUid, AccessionNumber: row.accessionNumber, RequestedProcedureID: row.requestedProcedureId, ScheduledProcedureStepID: row.scheduledStepId }],
    PerformedProcedureStepID: 'PPS1',
    PerformedStationAETitle: 'CT01',
    PerformedProcedureStepStartDate: day,
    PerformedProcedureStepStartTime: '083100',
    PerformedProcedureStepStatus: 'IN PROGRESS',
    ...more,
  })
  const series = { SeriesInstanceUID: '1.2.3.4', PerformingPhysicianName: '', OperatorsName: '', ProtocolName: '头颅', SeriesDescription: '', RetrieveAETitle: '', ReferencedImageSequence: ['1.2.3.4.1', '1.2.3.4.2'].map((uid) => ({ ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', ReferencedSOPInstanceUID: uid })), ReferencedNonImageCompositeSOPInstanceSequence: [{ ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.88.67', ReferencedSOPInstanceUID: '1.2.3.4.9' }] }
  const stateOf = async (patientId: string) => (await registrar.get<{ rows: WorklistRow[] }>('/api/worklist?limit=200')).rows.find((row) => row.patientId === patientId)

  it('is struck off as a device begins and ends, and the study’s time line tells it', async () => {
    // ARC-27; PS3.4 F.7
    const row = scheduled.get('P1')!
    expect(await create('2.25.900', beginning(row))).toMatchObject({ status: 0, uid: '2.25.900' })
    expect(await stateOf('P1')).toMatchObject({ state: 'started', performed: [{ state: 'IN PROGRESS', seriesCount: 0 }] })
    expect(patients((await ask('CT01', ['PatientID', step('ScheduledProcedureStepStatus=STARTED')])).answers)).toEqual(['P1'])
    expect(await set('2.25.900', { PerformedProcedureStepStatus: 'COMPLETED', PerformedProcedureStepEndDate: day, PerformedProcedureStepEndTime: '084500', ImageAndFluoroscopyAreaDoseProduct: '12.5', PerformedSeriesSequence: [series] })).toMatchObject({ status: 0 })
    expect(await stateOf('P1')).toMatchObject({
      state: 'completed',
      performed: [{ state: 'COMPLETED', seriesCount: 1, instanceCount: 3, dose: { areaDoseProduct: '12.5', doseReports: '1.2.3.4.9' }, endedAt: `${day} 084500` }],
    })
    expect(patients((await ask('ALL01', ['PatientID', step('Modality=CT'), step(`ScheduledProcedureStepStartDate=${day}`)])).answers)).toEqual(['P2'])
    const log = await (await hospital.signIn('auditor')).get<StudyLogRow[]>(`/api/studies/${row.studyInstanceUid}/log`)
    expect(log.filter(({ action }) => action === 'study.acquire').map(({ facts, result }) => [facts['state'], facts['instances'], result])).toEqual([['IN PROGRESS', 0, 'success'], ['COMPLETED', 3, 'success']]) // prettier-ignore
  })

  it('keeps a step as it ended', async () => {
    // PS3.4 F.7.2.2: 0110H with error identifier A710H; 0111H twice the same; 0112H unknown
    expect(await set('2.25.900', { PerformedProcedureStepStatus: 'DISCONTINUED' })).toMatchObject({ status: 0x0110, errorId: 0xa710 })
    expect(await create('2.25.900', beginning(scheduled.get('P1')!))).toMatchObject({ status: 0x0111 })
    expect(await set('2.25.999', { PerformedProcedureStepStatus: 'COMPLETED' })).toMatchObject({ status: 0x0112 })
    expect(await create('2.25.901', beginning(scheduled.get('P2')!, { PerformedProcedureStepStatus: 'COMPLETED' }), 'ALL01')).toMatchObject({ status: 0x0106 })
    expect(await create('2.25.902', beginning(scheduled.get('P2')!, { ScheduledStepAttributesSequence: [] }), 'ALL01')).toMatchObject({ status: 0x0120 })
  })

  it('is to be done again when a device broke off, and is not ended by another patient’s step', async () => {
    const row = scheduled.get('P2')!
    expect(await create('2.25.903', beginning(row), 'ALL01')).toMatchObject({ status: 0 })
    expect(await set('2.25.903', { PerformedProcedureStepStatus: 'DISCONTINUED', PerformedProcedureStepDiscontinuationReasonCodeSequence: [{ CodeValue: '110513', CodingSchemeDesignator: 'DCM', CodeMeaning: '患者不适' }] }, 'ALL01')).toMatchObject({ status: 0 })
    expect(await stateOf('P2')).toMatchObject({ state: 'scheduled', performed: [{ state: 'DISCONTINUED', discontinuationReason: '患者不适' }] })
    expect(await create('2.25.904', beginning(row, { PatientID: 'P9' }), 'ALL01')).toMatchObject({ status: 0 })
    expect(await stateOf('P2')).toMatchObject({ state: 'scheduled' })
  })

  it('is closed to devices whose scope does not reach, and to those that have no worklist', async () => {
    expect(await create('2.25.905', beginning(scheduled.get('P2')!), 'MR01')).toMatchObject({ status: 0x0124 })
    expect(await create('2.25.906', beginning(scheduled.get('P2')!), 'DUMB')).toMatchObject({ status: 0x0124 })
  })

  it('is filled by registration, in the same transaction, and emptied by cancelling', async () => {
    const registration = {
      accessionNumber: 'R100', patientId: 'P7', patientName: '周八', patientSex: 'M', patientBirthDate: '1980-01-02', modality: 'DX', bodyPart: 'CHEST', description: '胸部正位',
      studyDate: today, studyTime: '14:00', studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '', scheduledStationAeTitle: 'DX01',
    } // prettier-ignore
    const exam = await registrar.send<{ examId: string }>('POST', '/api/exams', registration)
    const found = await ask('ALL01', ['PatientID', 'PatientBirthDate', 'RequestedProcedureDescription', step('Modality=DX')])
    expect(found.answers.map((answer) => [textAt(answer, 'PatientID'), textAt(answer, 'PatientBirthDate'), textAt(answer, 'RequestedProcedureDescription')])).toEqual([['P7', '19800102', '胸部正位']])
    const { rows } = await registrar.get<{ rows: WorklistRow[] }>(`/api/worklist?examId=${exam.examId}`)
    expect(rows).toMatchObject([{ examId: exam.examId, state: 'scheduled', patientName: '周*', masked: true }])
    const row = rows[0]!
    expect(await create('2.25.907', { ...beginning(row), PatientID: 'P7' }, 'ALL01')).toMatchObject({ status: 0 })
    await expect(registrar.send('POST', `/api/worklist/${row.itemId}/cancel`, { reason: '患者离开' })).rejects.toMatchObject({ code: 'worklist/closed' })
    expect(await set('2.25.907', { PerformedProcedureStepStatus: 'DISCONTINUED' }, 'ALL01')).toMatchObject({ status: 0 })
    expect(await registrar.send('POST', `/api/worklist/${row.itemId}/cancel`, { reason: '患者离开' })).toMatchObject({ state: 'cancelled' })
    expect((await ask('ALL01', ['PatientID', step('Modality=DX')])).answers).toEqual([])
    await expect(doctor.send('POST', `/api/worklist/${row.itemId}/cancel`, { reason: '' })).rejects.toMatchObject({ status: 400 })
  })

  it('is there after a restart, steps under way too', async () => {
    expect(await create('2.25.908', beginning(scheduled.get('P3')!), 'ALL01')).toMatchObject({ status: 0 })
    await hospital.stop()
    await hospital.startAgain()
    registrar = await hospital.signIn('registrar')
    expect(await stateOf('P3')).toMatchObject({ state: 'started', performed: [{ state: 'IN PROGRESS' } satisfies Partial<PerformedStepRow>] })
    expect(await set('2.25.908', { PerformedProcedureStepStatus: 'COMPLETED', PerformedSeriesSequence: [series] }, 'ALL01')).toMatchObject({ status: 0 })
    expect(await stateOf('P3')).toMatchObject({ state: 'completed' })
  }, 60_000)
})
