import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { LinkStatus, ParametersRow, PlatformParametersView } from 'specs'
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

describe('parameters of the platform', () => {
  const bucket = { endpoint: 'https://s3.yunling.example.org', region: 'cn-west', bucket: 'yunling-images', prefix: 'a/', accessKeyId: 'AK1', secretAccessKey: 'a secret of the region' }
  const inForce = async () => {
    const view = await admin.get<PlatformParametersView>('/api/platform-parameters')
    return { ...Object.fromEntries(view.rows.map((row) => [row.name, row.inForce])), bucket: view.s3?.bucket, hasSecret: view.s3?.hasSecret, regionName: view.regionName }
  }
  const own = { studiesAtOnce: 2, uploadThreads: 6, bucket: undefined, hasSecret: undefined, regionName: null }

  it('change the agent within one refresh, are kept apart for each platform, and go on counting while it is away', async () => {
    // AGT-13
    await connectedTo('east')
    expect(await inForce()).toMatchObject({ studiesAtOnce: 2, uploadThreads: 6 })
    await east.admin.send('PUT', '/api/parameters/region', { studiesAtOnce: 4, uploadThreads: 12, s3: bucket })
    await vi.waitFor(async () => expect(await inForce()).toEqual({ studiesAtOnce: 4, uploadThreads: 12, bucket: 'yunling-images', hasSecret: true, regionName: '云岭区域影像网' }), soon)
    // One hospital needs its own; the secret that was not entered again stays, and nobody is shown it.
    await east.admin.send('PUT', `/api/parameters/${A}`, { studiesAtOnce: 1, uploadThreads: null, s3: null })
    await vi.waitFor(async () => expect(await inForce()).toMatchObject({ studiesAtOnce: 1, uploadThreads: 6, bucket: undefined }), soon)
    await east.admin.send('DELETE', `/api/parameters/${A}`)
    const { secretAccessKey: _secret, ...again } = bucket
    await east.admin.send('PUT', '/api/parameters/region', { studiesAtOnce: 3, uploadThreads: 9, s3: again })
    await vi.waitFor(async () => expect(await inForce()).toMatchObject({ studiesAtOnce: 3, uploadThreads: 9, hasSecret: true }), soon)
    const shown = JSON.stringify([await east.admin.get<ParametersRow[]>('/api/parameters'), await admin.get('/api/platform-parameters')])
    expect(shown).not.toContain('a secret of the region')

    await admin.send('PUT', '/api/link', { hubUrl: west.hubUrl })
    await connectedTo('west')
    await vi.waitFor(async () => expect(await inForce()).toMatchObject({ ...own, regionName: '云岭区域影像网' }), soon)
    await admin.send('PUT', '/api/link', { hubUrl: east.hubUrl })
    await connectedTo('east')
    await vi.waitFor(async () => expect(await inForce()).toMatchObject({ uploadThreads: 9 }), soon)

    await east.stopHub()
    await hospital.stop()
    await hospital.startAgain()
    admin = await hospital.signIn('admin')
    expect(await inForce()).toMatchObject({ studiesAtOnce: 3, uploadThreads: 9, bucket: 'yunling-images', hasSecret: true })
  }, 60_000)
})
