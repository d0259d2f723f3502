import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { LinkStatus } from 'specs'
import { A } from '../../src/access/builders.ts'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { TestRegion, type TestHospital } from '../support/region.ts'

const soon = { timeout: 40_000, interval: 50 }
let east: TestRegion, west: TestRegion
let hospital: TestHospital
let admin: ApiUser

beforeAll(async () => {
  east = await TestRegion.start('east')
  west = await TestRegion.start('west')
  hospital = await east.add(A, '云溪县人民医院', ['submitter'])
  admin = await hospital.signIn('admin')
}, 120_000)
afterAll(async () => {
  await east?.stop()
  await west?.stop()
})

const connectedTo = (regionId: string) =>
  vi.waitFor(async () => {
    const status = await admin.get<LinkStatus>('/api/link')
    expect(status).toMatchObject({ state: 'connected', regionId })
    return status
  }, soon)

describe('a hospital that moves between two platforms', () => {
  it('joins with a code of the new one, is connected there, and needs none to return', async () => {
    // AGT-03, FED-08, FED-20
    await connectedTo('east')
    // The trail's first checkpoint leaves with the connection.
    await vi.waitFor(async () => expect(await admin.get<LinkStatus>('/api/link')).toMatchObject({ pendingMessages: 0 }), soon)
    expect(await admin.get<LinkStatus>('/api/link')).toMatchObject({
      regionName: '云岭区域影像网',
      hubUrl: east.hubUrl,
      hospital: { id: A, kinds: ['submitter'] },
    })
    await expect(admin.send('PUT', '/api/link', { hubUrl: west.hubUrl })).rejects.toMatchObject({ code: 'region/not-joined' })
    const code = await west.invite(A, '云溪县人民医院', ['submitter', 'processor'])
    await admin.send('PUT', '/api/link', { hubUrl: `${west.hubUrl}/`, joinCode: code })
    expect(await connectedTo('west')).toMatchObject({ hubUrl: west.hubUrl, hospital: { kinds: ['submitter', 'processor'] } })
    await admin.send('PUT', '/api/link', { hubUrl: east.hubUrl })
    await connectedTo('east')
    await hospital.stop()
    await hospital.startAgain()
    admin = await hospital.signIn('admin')
    await connectedTo('east')
  })
  it('stays where it is when the code, the platform or its root is not the right one', async () => {
    // FED-08
    const code = await west
      .invite(A, '云溪县人民医院', ['submitter', 'processor'])
      .catch(() => `ABCDEFGHABCDEFGHABCDEFGH-${'0'.repeat(16)}`)
    await expect(
      admin.send('PUT', '/api/link', { hubUrl: west.hubUrl, joinCode: code.replace(/-.*/, `-${'0'.repeat(16)}`) }),
    ).rejects.toMatchObject({ code: 'region/wrong-root' })
    await expect(admin.send('PUT', '/api/link', { hubUrl: 'http://127.0.0.1:9', joinCode: code })).rejects.toMatchObject({
      code: 'region/hub-unreachable',
    })
    await expect(admin.send('PUT', '/api/link', { hubUrl: hospital.url, joinCode: code })).rejects.toMatchObject({
      code: 'request/not-found',
    })
    await expect(admin.send('PUT', '/api/link', { hubUrl: 'ftp://x', joinCode: code })).rejects.toMatchObject({ code: 'request/invalid' })
    await expect((await hospital.signIn('doctor')).send('PUT', '/api/link', { hubUrl: west.hubUrl })).rejects.toMatchObject({
      code: 'access/forbidden',
    })
    await connectedTo('east')
  })
})
