import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { administrator, aService, doctor, postJson, signIn, type TestService } from '../../../service-kit/tests/support/service.ts'
import { testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { addDicomNodeRoutes } from './routes.ts'
import { dicomNodeMigrations } from './store.ts'

let service: TestService
let archive: TestArchive
let url: string
let admin: { Authorization: string }

beforeAll(async () => {
  service = await aService()
  archive = await testArchive()
  await service.db.migrate('dicom-node', dicomNodeMigrations)
  const log = service.face.log
  addDicomNodeRoutes(service.face, { db: service.db, callingAeTitle: 'LIANPIAN', isMemberOf: (id) => id === 'east', log })
  url = await service.start()
  admin = (await signIn(url, administrator)).bearer
})
afterAll(async () => {
  await service.stop()
  await archive.close()
})

const node = { aeTitle: 'WS01', host: '127.0.0.1', port: 1, description: '阅片工作站', forwardPushed: true }

describe('DICOM nodes over HTTP', () => {
  it('are registered, changed, tested and removed by an administrator', async () => {
    // FED-15
    const created = await postJson(`${url}/api/dicom-nodes`, node, admin)
    expect(created.status).toBe(201)
    const { id } = (await created.json()) as { id: string }
    expect(await (await fetch(`${url}/api/dicom-nodes`, { headers: admin })).json()).toEqual([
      // a node begins with every permission, everywhere in the hospital, and with no label beyond the ordinary
      { ...node, allowed: true, regionId: null, id, permissions: ['store', 'query', 'retrieve'], scope: {}, labels: [], place: { campus: '', department: '', area: '' }, maxAssociations: null, preferredSyntaxes: [], charset: null, ownWorklist: false, secure: false },
    ])
    const echoed = await postJson(`${url}/api/dicom-nodes/${id}/echo`, undefined, admin)
    expect(await echoed.json()).toMatchObject({ ok: false, code: 'dimse/unreachable', title: '无法连接 DICOM 节点' })
    const changed = await fetch(`${url}/api/dicom-nodes/${id}`, {
      method: 'PUT',
      headers: { ...admin, 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...node, port: 104 }),
    })
    expect(await changed.json()).toMatchObject({ port: 104 })
    expect((await fetch(`${url}/api/dicom-nodes/${id}`, { method: 'DELETE', headers: admin })).status).toBe(204)
    expect(await (await fetch(`${url}/api/dicom-nodes`, { headers: admin })).json()).toEqual([])
  })

  it.each([
    ['an AE title of 17 characters', { ...node, aeTitle: 'A'.repeat(17) }],
    ['an AE title with a backslash', { ...node, aeTitle: 'A\\B' }],
    ['port 0', { ...node, port: 0 }],
    ['no host', { ...node, host: ' ' }],
  ])('are refused with %s', async (_, body) => {
    const response = await postJson(`${url}/api/dicom-nodes`, body, admin)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'request/invalid' })
  })

  it('send for a region that this hospital has joined, or for none of their own', async () => {
    // FED-20
    const refused = await postJson(`${url}/api/dicom-nodes`, { ...node, regionId: 'west' }, admin)
    expect([refused.status, await refused.json()]).toMatchObject([409, { code: 'region/not-joined', facts: { regionId: 'west' } }])
    const created = await postJson(`${url}/api/dicom-nodes`, { ...node, regionId: 'east' }, admin)
    const { id, regionId } = (await created.json()) as { id: string; regionId: string }
    expect([created.status, regionId]).toEqual([201, 'east'])
    expect((await fetch(`${url}/api/dicom-nodes/${id}`, { method: 'DELETE', headers: admin })).status).toBe(204)
  })

  it('tell that a node is not known', async () => {
    expect((await postJson(`${url}/api/dicom-nodes/nowhere/echo`, undefined, admin)).status).toBe(404)
  })

  it('are not for doctors to change', async () => {
    const { bearer } = await signIn(url, doctor)
    expect((await postJson(`${url}/api/dicom-nodes`, node, bearer)).status).toBe(403)
    expect((await postJson(`${url}/api/dicom-nodes`, node)).status).toBe(401)
  })
})
