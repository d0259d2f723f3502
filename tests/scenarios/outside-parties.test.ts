import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HospitalRow, LinkStatus, NodeRefusalRow, RefusalRow } from 'specs'
import { promisify } from 'node:util'
import { execFile } from 'node:child_process'
import type { ApiUser } from '../../scripts/region/api.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { findscu } from '../support/dcmtk.ts'
import { socketsOf } from '../support/sockets.ts'
import { consultOf, sendStudy, submit, untilState } from '../support/story.ts'

const execute = promisify(execFile)

/** Whoever should not get in, does not, is told why by a code, and the next caller is served. */
describe('refusals of a running region', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let admin: ApiUser

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-b', 'hospital-c'] })
    admin = await region.signInToHub()
  })
  afterAll(() => region?.close())

  it('opens nothing at a hospital but its declared ports, and the hub never calls a hospital', () => { // FED-04, FED-05, AGT-01
    const portOf = (url: string) => Number(new URL(url).port)
    const ports = region.file.hospitals.flatMap(({ url, dicom }) => [portOf(url), dicom.port])
    for (const { id, url, dicom } of region.file.hospitals) {
      const sockets = socketsOf(region.node(id).pid!)
      const listening = sockets.filter(({ state }) => state === 'listening').map(({ localPort }) => localPort)
      expect(listening.sort()).toEqual([portOf(url), dicom.port].sort())
      // It calls out to the region and nowhere else: the message server, and the hub's address while it joins.
      const calls = sockets.filter(({ state, localPort }) => state === 'established' && !listening.includes(localPort))
      const called = new Set(calls.map(({ remotePort }) => remotePort))
      expect(called).toContain(portOf(region.file.hub.nats))
      expect([portOf(region.file.hub.nats), portOf(region.file.hub.url)]).toEqual(expect.arrayContaining([...called]))
    }
    for (const pid of [region.hub.pid!, region.natsPid!]) {
      const called = socketsOf(pid).filter(({ state }) => state === 'established').map(({ remotePort }) => remotePort)
      expect(called.filter((port) => ports.includes(port))).toEqual([])
    }
  })

  it('does not register a second hospital under the same identifier or code', async () => { // FED-09
    const entry = { id: 'hospital-a', name: '冒名医院', code: '99999', kinds: ['submitter'], taskTypes: ['consultation'], flowModes: ['push'] }
    await expect(admin.send('POST', '/api/hospitals', entry)).rejects.toMatchObject({ code: 'region/hospital-exists' })
  })

  it('shows a hospital that stopped as offline, and online again when it is back', async () => { // FED-08
    const stateOf = async () => (await admin.get<HospitalRow[]>('/api/hospitals')).find(({ id }) => id === 'hospital-b')?.online
    await region.node('hospital-b').kill()
    await eventually('B is shown offline', async () => (await stateOf()) === false)
    await region.node('hospital-b').start()
    await eventually('B is shown online', async () => (await stateOf()) === true)
  })

  it('refuses a join code that is wrong or used', async () => {
    const nodeAdmin = await region.signIn('hospital-a', 'admin')
    await expect(nodeAdmin.send('PUT', '/api/link', { hubUrl: region.file.hub.url, joinCode: 'AAAA-BBBB-0000000000000000' })).rejects.toMatchObject({ status: expect.any(Number) as number })
    await region.untilConnected('hospital-a')
  })

  it('rejects an association of an AE that nobody registered and serves the next', async () => { // ARC-02
    const { dicom } = region.hospital('hospital-a')
    await expect(execute('echoscu', ['-aet', 'STRANGER', '-aec', dicom.aeTitle, dicom.host, String(dicom.port)])).rejects.toThrow()
    await execute('echoscu', ['-aec', dicom.aeTitle, dicom.host, String(dicom.port)])
    await eventually('the console shows who was refused', async () => {
      const { rows } = await admin.get<{ rows: RefusalRow[] }>('/api/refusals')
      return rows.some(({ code, source, facts }) => code === 'dimse/unknown-ae' && source === 'hospital-a' && facts['callingAeTitle'] === 'STRANGER')
    })
    // The hospital itself reads it in its own list, once, with how often it was tried.
    await expect(execute('echoscu', ['-aet', 'STRANGER', '-aec', dicom.aeTitle, dicom.host, String(dicom.port)])).rejects.toThrow()
    const { rows } = await (await region.signIn('hospital-a', 'admin')).get<{ rows: NodeRefusalRow[] }>('/api/refusals?service=dimse&text=stranger')
    expect(rows).toMatchObject([{ service: 'dimse', code: 'dimse/unknown-ae', title: '未登记的 AE Title', peer: 'STRANGER', address: '127.0.0.1', count: 2 }])
  })

  it('ends a connection that speaks no DICOM and serves the next', async () => { // ARC-02
    const { dicom } = region.hospital('hospital-a')
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host: dicom.host, port: dicom.port }, () => socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(50)))
      socket.once('close', () => resolve())
      socket.once('error', () => resolve())
      socket.setTimeout(20_000, () => reject(new Error('the connection was left open')))
      socket.resume()
    })
    await execute('echoscu', ['-aec', dicom.aeTitle, dicom.host, String(dicom.port)])
    expect(await findscu(dicom, ['QueryRetrieveLevel=STUDY', 'StudyInstanceUID'])).toBeDefined()
  })

  it('tells a consultation for an unknown hospital apart', async () => { // FED-12
    const exam = await sendStudy(region, 'hospital-a', 'dx-small', 1)
    const wang = await region.signIn('hospital-a', 'wang')
    await expect(submit(wang, { exam, target: { kind: 'hospital', hospitalId: 'hospital-x' } })).rejects.toMatchObject({ code: expect.stringMatching(/^region\//) as string })
    await expect(consultOf(wang, randomUUID())).rejects.toMatchObject({ code: 'consult/unknown-task' })
  })

  it('cuts a revoked hospital off within seconds and tells it so', async () => { // FED-05, SEC-11
    const exam = (await (await region.signIn('hospital-a', 'wang')).get<{ rows: { examId: string }[] }>('/api/exams')).rows[0]
    await admin.send('POST', '/api/hospitals/hospital-b/revoke', { reason: '演练' })
    const b = await region.signIn('hospital-b', 'admin')
    await eventually('B is cut off', async () => (await b.get<LinkStatus>('/api/link')).state !== 'connected', 10_000)
    const row = (await admin.get<HospitalRow[]>('/api/hospitals')).find(({ id }) => id === 'hospital-b')
    expect(row?.revoked).toBe(true)
    // The rest of the region goes on.
    const wang = await region.signIn('hospital-a', 'wang')
    const taskId = await submit(wang, { exam: exam as never, mode: 'pull' })
    await untilState(await region.signIn('hospital-c', 'chen'), taskId, 'submitted')
  })
})
