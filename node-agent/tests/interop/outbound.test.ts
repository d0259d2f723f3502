import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseHospitalId } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { TestHospital } from '../support/region.ts'

/** A hospital whose node may not call its own machine, as one that serves a hospital's network. */
let folder: string
let hospital: TestHospital
let admin: ApiUser
let inner: Server
let reached = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-outbound-'))
  hospital = await TestHospital.start(folder, parseHospitalId('hospital-a'), '云溪县人民医院', { outbound: { loopback: 'refused', only: ['10.0.0.0/8', '127.0.0.0/8', 'localhost'] } })
  admin = await hospital.signIn('admin')
  inner = createServer(() => (reached += 1)).listen(0, '127.0.0.1')
  await once(inner, 'listening')
})
afterAll(async () => {
  inner.close()
  await hospital.stop()
  await rm(folder, { recursive: true, force: true })
})
const innerPort = () => {
  const address = inner.address()
  return typeof address === 'object' && address ? address.port : 0
}
const aNode = (host: string) => ({ aeTitle: 'CT1', host, port: innerPort(), description: '', allowed: true, forwardPushed: true })
const forbidden = ['127.0.0.1', 'localhost', '::1', '169.254.169.254', '0.0.0.0', '192.168.1.9']

describe('an administrator whose account was taken over', () => {
  it('cannot make the node call its own machine, a cloud’s metadata, or what is not on the list', async () => { // SEC-09
    for (const host of forbidden) await expect(admin.send('POST', '/api/dicom-nodes', aNode(host))).rejects.toThrow(/outbound\/refused/)
    for (const host of ['127.0.0.1', '169.254.169.254', '[::1]', '192.168.1.9'])
      await expect(admin.send('PUT', '/api/link', { hubUrl: `http://${host}:${innerPort()}`, joinCode: 'ABCDEFGH-0123456789abcdef' })).rejects.toThrow(/outbound\/refused/)
    expect(reached).toBe(0)
  })

  it('cannot get there by a node that was entered properly and changed afterwards', async () => { // SEC-09
    const { id } = await admin.send<{ id: string }>('POST', '/api/dicom-nodes', aNode('10.255.255.1'))
    await expect(admin.send('PUT', `/api/dicom-nodes/${id}`, aNode('127.0.0.1'))).rejects.toThrow(/outbound\/refused/)
    expect(reached).toBe(0)
  })

  it('leaves a trace of every change that was let through', async () => {
    const auditor = await hospital.signIn('auditor')
    const { rows } = await auditor.get<{ rows: { action: string; after?: unknown }[] }>('/api/audit/records?action=config.dicom-node')
    expect(rows).toContainEqual(expect.objectContaining({ action: 'config.dicom-node', after: expect.objectContaining({ host: '10.255.255.1' }) as unknown }))
  })
})
