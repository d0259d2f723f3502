import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { HospitalId, type AuditRow, type DicomService, type EchoResult, type ReceivingNodeRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fuzz } from '../../../scripts/fuzz/associations.ts'
import { readCaptures } from '../../../scripts/fuzz/captures.ts'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { TestHospital } from '../support/region.ts'
import { freePort, run, startPeer, startReceiver, until } from './dimse-support.ts'

const execute = promisify(execFile)

describe('devices of a hospital', () => {
  let folder: string
  let hospital: TestHospital
  let admin: ApiUser
  let auditor: ApiUser
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-devices-'))
    hospital = await TestHospital.start(folder, HospitalId.parse('hospital-a'), '云溪县人民医院', { dimse: { host: '127.0.0.1', port: 0, aeTitle: 'YUNXI' } })
    ;[admin, auditor] = await Promise.all([hospital.signIn('admin'), hospital.signIn('auditor')])
  }, 60_000)
  afterAll(async () => {
    await hospital.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const target = (port = hospital.node.dimsePort) => ['127.0.0.1', String(port)]
  const echo = (aet: string, aec = 'YUNXI') => run('echoscu', ['-v', '-aet', aet, '-aec', aec, ...target()])
  const register = (aeTitle: string, more: Record<string, unknown> = {}) => admin.send<{ id: string }>('POST', '/api/dicom-nodes', { aeTitle, host: '127.0.0.1', port: 11_998, ...more })
  const change = (settings: Record<string, unknown>) => admin.send('PUT', '/api/dicom-settings', settings)

  let made = 0
  /** A study of one small image, as a file. */
  async function aStudy(tags: Record<string, string> = {}): Promise<{ study: string; file: string; instance: string }> {
    made += 1
    const [study, instance] = [`2.25.77${made}`, `2.25.78${made}`]
    const file = join(folder, `${made}.dcm`)
    await writeFile(file, buildFile(aSlice({ StudyInstanceUID: study, SeriesInstanceUID: `2.25.79${made}`, SOPInstanceUID: instance, ...tags })))
    return { study, file, instance }
  }
  const store = (aet: string, file: string, { aec = 'YUNXI', port = hospital.node.dimsePort } = {}) => run('storescu', ['-v', '-aet', aet, '-aec', aec, ...target(port), file])
  const find = async (aet: string, { aec = 'YUNXI', port = hospital.node.dimsePort, level = 'STUDY' } = {}) => {
    const { output } = await run('findscu', ['-S', '-v', '-aet', aet, '-aec', aec, '-k', `QueryRetrieveLevel=${level}`, '-k', 'StudyInstanceUID', ...target(port)])
    return [...output.matchAll(/StudyInstanceUID|\(0020,000d\) UI \[([\d.]+)/g)].flatMap((match) => match[1] ?? []).sort()
  }

  it('must be registered while the check of AE titles is on; it is switched without a restart, and kept', async () => {
    // ARC-05
    await register('CLOSED', { allowed: false })
    expect((await echo('STRANGER')).output).toContain('Calling AE Title Not Recognized')
    await change({ checkCallingAe: false })
    expect((await echo('STRANGER')).code).toBe(0)
    expect((await echo('CLOSED')).output).toContain('Calling AE Title Not Recognized') // known, and locked out by name
    await hospital.stop()
    await hospital.startAgain()
    ;[admin, auditor] = await Promise.all([hospital.signIn('admin'), hospital.signIn('auditor')])
    expect((await echo('STRANGER')).code).toBe(0)
    await change({ checkCallingAe: true })
    expect((await echo('STRANGER')).output).toContain('Calling AE Title Not Recognized')
    const { rows } = await auditor.get<{ rows: AuditRow[] }>('/api/audit/records?action=config.dicom-settings')
    expect(rows.map(({ before, after }) => [before, after])).toContainEqual([{ checkCallingAe: true }, { checkCallingAe: false }])
  }, 60_000)

  it('may have to name us correctly', async () => {
    // ARC-05
    await register('CT01', { permissions: ['store', 'query', 'retrieve'] })
    expect((await echo('CT01', 'SOMEBODY')).code).toBe(0)
    await change({ checkCalledAe: true })
    expect((await echo('CT01', 'SOMEBODY')).output).toContain('Called AE Title Not Recognized')
    expect((await echo('CT01')).code).toBe(0)
    await change({ checkCalledAe: false })
  })

  it('have at most their own number of associations, and the house its own', async () => {
    await register('GREEDY', { maxAssociations: 1 })
    const held = connect(hospital.node.dimsePort, '127.0.0.1') // asks, is accepted, and stays
    held.write(associateAs('GREEDY'))
    await new Promise((resolve) => held.once('data', resolve))
    expect((await echo('GREEDY')).output).toContain('Local Limit Exceeded')
    expect((await echo('CT01')).code).toBe(0)
    await change({ maxAssociations: 1 })
    expect((await echo('CT01')).output).toContain('Local Limit Exceeded')
    expect((await admin.get<DicomService>('/api/dicom-settings')).openAssociations).toBe(1)
    held.destroy()
    await until('the place is free', async () => (await echo('GREEDY')).code === 0)
    await change({ maxAssociations: 32 })
  })

  it('are met with maximum PDU and refused classes as set, from the next association on', async () => {
    await change({ maxPduBytes: 16_384, refusedSopClasses: ['1.2.840.10008.5.1.4.1.1.7'] })
    expect((await run('echoscu', ['-d', '-aet', 'CT01', '-aec', 'YUNXI', ...target()])).output).toMatch(/Their Max PDU Receive Size:\s+16384/)
    const { file } = await aStudy({ SOPClassUID: '1.2.840.10008.5.1.4.1.1.7' })
    expect((await store('CT01', file)).output).toContain('No presentation context for: (SC)')
    await change({ maxPduBytes: 131_072, refusedSopClasses: [] })
    expect((await store('CT01', file)).code).toBe(0)
    await expect(admin.send('PUT', '/api/dicom-settings', { maxPduBytes: 17 })).rejects.toMatchObject({ status: 400 })
  })

  it('store only what lies within their scope, by what is registered, otherwise by their own place and the image’s modality', async () => {
    // FED-15, SEC-03: the device's scope limits what it may store, too
    await register('US01', { permissions: ['store'], scope: { modalities: ['US'], departments: ['超声科'] }, place: { campus: '', department: '超声科', area: '' } })
    const [ct, us] = [await aStudy({ Modality: 'CT' }), await aStudy({ Modality: 'US' })]
    expect((await store('US01', ct.file)).output).toMatch(/Store Response \(Unknown Status: 0x124\)/)
    expect((await store('US01', us.file)).code).toBe(0)
    expect(await find('CT01')).toContain(us.study)
    expect(await find('CT01')).not.toContain(ct.study)
    const { rows } = await admin.get<{ rows: { code: string; peer: string }[] }>('/api/refusals?limit=50')
    expect(rows).toContainEqual(expect.objectContaining({ code: 'access/out-of-scope', peer: 'US01' }))
    // Registered for another department: the image of the right modality stays out.
    const registrar = await hospital.signIn('registrar')
    const elsewhere = await aStudy({ Modality: 'US', AccessionNumber: 'X900' })
    await registrar.send('POST', '/api/exams', {
      accessionNumber: 'X900', patientId: 'P1', patientName: '张三', patientSex: 'M', patientBirthDate: '', modality: 'US', bodyPart: '', description: '', studyDate: '', studyTime: '',
      studyInstanceUid: elsewhere.study, clinicalHistory: '', reportFindings: '', reportImpression: '', department: '心内科',
    }) // prettier-ignore
    expect((await store('US01', elsewhere.file)).output).toMatch(/Store Response \(Unknown Status: 0x124\)/)
  })

  it('of two submitters send to two receiving nodes at once, and each finds its own there', async () => {
    // FED-19: own AE title and port, added and removed while the node runs
    const port = await freePort()
    const add = (node: Record<string, unknown>) => admin.send<ReceivingNodeRow>('POST', '/api/receiving-nodes', node)
    const south = await add({ aeTitle: 'SOUTH', port, description: '南院区', place: { campus: '南院', department: '', area: '' } })
    const clinic = await add({ aeTitle: 'CLINIC', description: '城关卫生院', hospitalId: 'clinic-1' })
    expect([south, clinic]).toMatchObject([{ listening: true, problem: null }, { listening: true, problem: null }])
    await expect(add({ aeTitle: 'SOUTH' })).rejects.toMatchObject({ code: 'dimse/receiving-node-exists' })
    await expect(add({ aeTitle: 'YUNXI' })).rejects.toMatchObject({ code: 'dimse/receiving-node-exists' })
    const studies = await Promise.all(Array.from({ length: 6 }, () => aStudy()))
    const [own, foreign] = [studies.slice(0, 3), studies.slice(3)]
    const sent = await Promise.all([
      ...own.map(({ file }) => store('CT01', file, { aec: 'SOUTH', port })),
      ...foreign.map(({ file }) => store('CT01', file, { aec: 'CLINIC' })),
    ])
    expect(sent.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0])
    const uids = (some: { study: string }[]) => some.map(({ study }) => study).sort()
    expect(await find('CT01', { aec: 'SOUTH', port })).toEqual(uids(own))
    // The clinic's lie in the regional archive in its name, where a hospital's own devices find nothing.
    expect(await find('CT01')).not.toContain(foreign[0]!.study)
    const rows = await admin.get<ReceivingNodeRow[]>('/api/receiving-nodes')
    expect(rows.map(({ aeTitle, studies: count }) => [aeTitle, count])).toEqual([['CLINIC', 3], ['SOUTH', 3]]) // prettier-ignore
    const doctor = await hospital.signIn('doctor')
    const listed = await doctor.get<{ rows: { studyInstanceUid: string }[] }>(`/api/receiving-nodes/${south.id}/studies`)
    expect(listed.rows.map(({ studyInstanceUid }) => studyInstanceUid).sort()).toEqual(uids(own))
    const exams = await doctor.get<{ rows: { studyInstanceUid: string | null }[] }>('/api/exams?campus=南院')
    expect(exams.rows.map(({ studyInstanceUid }) => studyInstanceUid).sort()).toEqual(uids(own))
    const folders = await readdir(join(folder, 'hospital-a', 'archive-regional'))
    expect(folders.some((name) => name.includes('clinic-1')), folders.join(' ')).toBe(true)
    await admin.send('DELETE', `/api/receiving-nodes/${south.id}`)
    await until('its port is closed', async () => (await run('echoscu', ['-aet', 'CT01', '-aec', 'SOUTH', ...target(port)])).code !== 0)
    expect(await find('CT01')).toEqual(expect.arrayContaining(uids(own))) // what came there stays
  }, 60_000)

  it('call a receiving node only where they are named for it, and a port that is taken is told', async () => {
    const taken = await startReceiver()
    try {
      const node = await admin.send<ReceivingNodeRow>('POST', '/api/receiving-nodes', { aeTitle: 'NORTH', port: taken.port, callers: ['CT01'] })
      expect(node).toMatchObject({ listening: false })
      expect(node.problem).toContain(String(taken.port))
      await taken.stop()
      await until('it listens once the port is free', async () => (await admin.get<ReceivingNodeRow[]>('/api/receiving-nodes')).some(({ aeTitle, listening }) => aeTitle === 'NORTH' && listening))
      expect((await run('echoscu', ['-aet', 'CT01', '-aec', 'NORTH', ...target(taken.port)])).code).toBe(0)
      expect((await run('echoscu', ['-v', '-aet', 'GREEDY', '-aec', 'NORTH', ...target(taken.port)])).output).toContain('Calling AE Title Not Recognized')
    } finally {
      await taken.stop().catch(() => undefined)
    }
  }, 30_000)

  it('may be broken in two thousand ways: nobody is kept waiting, and the well-behaved are answered in between', async () => {
    // ARC-06; `npm run fuzz -- dimse` does the same a hundred thousand times
    await register('FUZZ', { permissions: ['store', 'query', 'retrieve', 'worklist'] })
    await change({ artimMs: 1_000, idleMs: 1_000, stallMs: 1_000 })
    const good = await aStudy()
    expect((await store('CT01', good.file)).code).toBe(0)
    const captures = readCaptures()
    expect([...captures.keys()]).toEqual(expect.arrayContaining(['store', 'find-study', 'find-worklist', 'move', 'get', 'performed-step', 'commitment']))
    const check = async () => {
      expect((await echo('CT01')).code).toBe(0)
    }
    const result = await fuzz({ port: hospital.node.dimsePort, associations: 2_000, seed: 20_261_122, captures, atOnce: 64, check, checkEvery: 500 })
    expect(result.hanging).toEqual([])
    expect(result.answeredBytes).toBeGreaterThan(100_000) // most were understood far enough to be answered
    expect(await find('CT01')).toContain(good.study)
    await until('nobody is left', async () => (await admin.get<DicomService>('/api/dicom-settings')).openAssociations === 0)
    await change({ artimMs: 15_000, idleMs: 120_000, stallMs: 30_000 })
  }, 90_000)

  it('are called by TLS with our certificate where they are registered so, and never without', async () => {
    // AGT-09, PS3.15 B.12: DCMTK's storescp asks for a certificate of ours
    const keys = join(folder, 'hospital-a', 'keys', 'dicom-nodes', 'SECURE')
    await mkdir(keys, { recursive: true })
    const at = (name: string) => join(keys, name)
    await execute('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=ca'])
    for (const name of ['peer', 'own']) {
      await execute('openssl', ['req', '-newkey', 'rsa:2048', '-nodes', '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'])
      await execute('openssl', ['x509', '-req', '-in', at(`${name}.csr`), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-copy_extensions', 'copy', '-days', '2', '-out', at(`${name}.pem`)])
    }
    const port = await freePort()
    const peer = await startPeer('storescp', ['+tls', at('peer.key'), at('peer.pem'), '+cf', at('ca.pem'), '-rc', '-od', folder, String(port)], port)
    try {
      const { id } = await register('SECURE', { port, secure: true })
      const tried = () => admin.send<EchoResult>('POST', `/api/dicom-nodes/${id}/echo`)
      expect((await tried()).ok).toBe(false) // it asks for a certificate, and we have none yet
      await execute('cp', [at('own.pem'), at('cert.pem')])
      await execute('cp', [at('own.key'), at('key.pem')])
      expect(await tried()).toMatchObject({ ok: true })
      await rm(at('ca.pem'))
      expect(await tried()).toMatchObject({ ok: false, code: 'dimse/no-peer-keys' })
    } finally {
      await peer.stop()
    }
  }, 60_000)
})

/** A-ASSOCIATE-RQ for verification, as bytes (PS3.8 9.3.2). */
function associateAs(callingAeTitle: string): Buffer {
  const item = (type: number, value: Buffer) => Buffer.concat([Buffer.from([type, 0, value.length >> 8, value.length & 0xff]), value])
  const context = Buffer.concat([Buffer.from([1, 0, 0, 0]), item(0x30, Buffer.from('1.2.840.10008.1.1')), item(0x40, Buffer.from('1.2.840.10008.1.2'))])
  const user = item(0x51, Buffer.from([0, 0, 0x40, 0]))
  const body = Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.from('YUNXI'.padEnd(16) + callingAeTitle.padEnd(16)), Buffer.alloc(32), item(0x10, Buffer.from('1.2.840.10008.3.1.1.1')), item(0x20, context), item(0x50, user)])
  return Buffer.concat([Buffer.from([1, 0, 0, 0, body.length >> 8, body.length & 0xff]), body])
}
