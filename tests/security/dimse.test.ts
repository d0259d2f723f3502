import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Problem } from 'specs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { newTransactionUid } from '../../node-agent/src/commitment/transaction.ts'
import { askForCommitment } from '../../node-agent/src/commitment/wire.ts'
import { getFrom, moveFrom, type Retrieved } from '../../node-agent/src/dimse/scu-query.ts'
import type { StorageSink } from '../../node-agent/src/dimse/services.ts'
import { anElement, writeDataSet } from '../../node-agent/src/dicom/data-set.ts'
import { EXPLICIT_LE } from '../../node-agent/src/dicom/transfer-syntax.ts'
import { commandFields, DATASET_FOLLOWS } from '../../node-agent/src/dimse/command-set.ts'
import { defaultScuSettings, RequestedAssociation } from '../../node-agent/src/dimse/requested-association.ts'
import { MODALITY_PERFORMED_PROCEDURE_STEP, serviceSopClasses } from '../../node-agent/src/dimse/sop-classes.ts'
import { eventually } from '../support/region.ts'
import { makeStudies, type MadeStudy } from '../support/studies.ts'
import { readTable } from './support/table.ts'
import { ask, bearer } from './support/visitor.ts'

const { node, dicom, exam } = inject('grounds')
const table = readTable('dimse')
const run = promisify(execFile)
const peer = [dicom.host, String(dicom.port)]

describe('DICOM services', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-dimse-'))
  const studies = new Map<string, MadeStudy>()
  beforeAll(async () => {
    const registered = { store: { permissions: ['store'] }, query: { permissions: ['query'] }, fetch: { permissions: ['query', 'retrieve'] }, narrow: { permissions: ['query', 'retrieve'], scope: { modalities: ['US'] } }, modality: { permissions: ['worklist'] }, closed: { allowed: false } }
    for (const [name, rights] of Object.entries(registered)) {
      const { status, text } = await ask(node.url, { method: 'POST', path: '/api/dicom-nodes', body: { aeTitle: name.toUpperCase(), host: '127.0.0.1', port: 11_999, ...rights }, headers: bearer(node.tokens['admin'] ?? '') })
      expect(status, text).toBe(201)
    }
    const scheduled = { patientId: 'W1', patientName: '周八', modality: 'DX', accessionNumber: 'W100', startDate: new Date().toLocaleDateString('sv-SE'), startTime: '10:00' }
    const added = await ask(node.url, { method: 'POST', path: '/api/worklist', body: scheduled, headers: bearer(node.tokens['registrar'] ?? '') })
    expect(added.status, added.text).toBe(201)
    for (const [n, made] of makeStudies(folder, { count: table.roles.length, instancesEach: 1, batch: 79 }).entries()) studies.set(table.roles[n] ?? '', made)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const outcomes: Record<string, (role: string) => Promise<string>> = {
    'dimse C-ECHO': async (role) => (await run('echoscu', ['-aet', role.toUpperCase(), '-aec', dicom.aeTitle, ...peer]).then(() => 'success', () => 'refused')),
    'dimse C-STORE': async (role) => {
      const made = studies.get(role)
      await run('storescu', ['-aet', role.toUpperCase(), '-aec', dicom.aeTitle, '+sd', ...peer, made?.folder ?? '']).catch(() => undefined)
      // What counts is what is kept, not what was answered.
      const kept = () => ask(node.url, { method: 'GET', path: `/dicom-web/studies/${made?.studyInstanceUid}/series`, headers: bearer(node.tokens['doctor'] ?? '') }).then(({ status, text }) => status === 200 && (JSON.parse(text || '[]') as unknown[]).length > 0)
      const expected = table.rows.find(({ door }) => door === 'dimse C-STORE')?.who.includes(role)
      if (expected) await eventually('the image is kept', kept, 10_000)
      return (await kept()) ? 'success' : 'refused'
    },
    'dimse C-FIND': async (role) => {
      const told = await run('findscu', ['-S', '-v', '-aet', role.toUpperCase(), '-aec', dicom.aeTitle, '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${exam.study}`, '-k', 'PatientName', ...peer]).then(({ stdout, stderr }) => stdout + stderr, () => 'refused')
      if (told === 'refused' || /Final Find Response \((?!Success)/i.test(told)) return 'refused'
      return told.includes('Find Response: 1') || told.includes(exam.study) && /Pending/.test(told) ? 'found' : 'nothing'
    },
    'dimse C-FIND (worklist)': async (role) => {
      const told = await run('findscu', ['-W', '-v', '-aet', role.toUpperCase(), '-aec', dicom.aeTitle, '-k', 'AccessionNumber=W100', '-k', 'PatientID', ...peer]).then(({ stdout, stderr }) => stdout + stderr, () => 'refused')
      if (told === 'refused' || /Final Find Response \((?!Success)/i.test(told)) return 'refused'
      return told.includes('Find Response: 1') ? 'found' : 'nothing'
    },
    'dimse N-CREATE, N-SET': (role) => beginStep(role.toUpperCase(), `2.25.${table.roles.indexOf(role) + 1}`).then((status) => (status === 0 ? 'success' : 'refused'), () => 'refused'), // prettier-ignore
    // Nobody listens at the registered addresses: what was found is counted as not sent.
    'dimse C-MOVE': async (role) => retrieved(() => moveFrom(service, { ...theExam, destinationAeTitle: role.toUpperCase() }, { callingAeTitle: role.toUpperCase() })),
    'dimse C-GET': async (role) => retrieved(() => getFrom(service, theExam, nowhere, { callingAeTitle: role.toUpperCase() })),
    'dimse N-ACTION, N-EVENT-REPORT': async (role) => {
      const asked = askForCommitment(service, { transactionUid: newTransactionUid(), instances: [{ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.1' }] }, { callingAeTitle: role.toUpperCase(), waitMs: 0 })
      return asked.then(() => 'success', () => 'refused')
    },
  }
  const service = { aeTitle: dicom.aeTitle, host: dicom.host, port: dicom.port }
  /** N-CREATE of a performed procedure step. @returns its status */
  const beginStep = async (callingAeTitle: string, sopInstanceUid: string) => {
    const context = { id: 1, abstractSyntaxUid: MODALITY_PERFORMED_PROCEDURE_STEP, transferSyntaxUids: [EXPLICIT_LE] }
    const association = await RequestedAssociation.open(service, [context], { ...defaultScuSettings, callingAeTitle })
    const step = [
      anElement('Modality', 'DX'), anElement('PatientID', 'W1'), anElement('PerformedProcedureStepID', 'P1'), anElement('PerformedStationAETitle', 'DX01'),
      anElement('PerformedProcedureStepStartDate', '20261122'), anElement('PerformedProcedureStepStartTime', '101500'), anElement('PerformedProcedureStepStatus', 'IN PROGRESS'),
      anElement('ScheduledStepAttributesSequence', [[anElement('StudyInstanceUID', '2.25.4711'), anElement('AccessionNumber', 'W100')]]),
    ] // prettier-ignore
    const command = { commandField: commandFields.nCreate, affectedSopClassUid: MODALITY_PERFORMED_PROCEDURE_STEP, affectedSopInstanceUid: sopInstanceUid, commandDataSetType: DATASET_FOLLOWS }
    const { status } = await association.request(1, command, [writeDataSet(step, EXPLICIT_LE, 'ISO_IR 192')])
    await association.release()
    return status
  }
  const theExam = { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: exam.study } } as const
  const nowhere: StorageSink = { begin: () => Promise.reject(new Problem('archive/out-of-space')) }
  const retrieved = (retrieve: () => Promise<Retrieved>) =>
    retrieve().then(({ status, completed, failed }) => (completed + failed > 0 ? 'found' : status === 0 ? 'nothing' : 'refused'), () => 'refused') // prettier-ignore

  it('each have a row', () => {
    const services = new Set(['dimse C-STORE', ...serviceSopClasses.map(({ service }) => `dimse ${service}`)])
    expect([...services].sort()).toEqual(table.rows.map(({ door }) => door).sort())
  })

  it('are given to a device as the table says', async () => {
    // FED-15, SEC-03. Shown to fail with admitDicomNode taken out of storageFor and queryFor.
    const wrong: string[] = []
    for (const { door, who, answer, but } of table.rows) {
      for (const role of table.roles) {
        const expected = but[role] ?? (who.includes(role) ? answer : 'refused')
        const got = await outcomes[door]?.(role)
        if (got !== expected) wrong.push(`${door} for ${role}: ${got}, not ${expected}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('are not given to an AE title that is a pattern or a path', async () => {
    for (const calling of ['*', '%', "STORE'--", '../STORE', 'STORE*']) await expect(run('echoscu', ['-aet', calling, '-aec', dicom.aeTitle, ...peer]), calling).rejects.toThrow()
  })
})
