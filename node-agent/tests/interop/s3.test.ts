import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { Outbound, OutboundConfig } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sendSlice, testArchive } from '../../src/archive/archive.builder.ts'
import { imageStoreContract } from '../../src/archive/storage/image-store.contract.ts'
import { defaultPolicy } from '../../src/archive/storage/policy.ts'
import { tryStore } from '../../src/archive/storage/image-store.ts'
import { storageContract } from '../../src/archive/storage/storage.contract.ts'
import { S3Store } from '../../src/archive/storage/s3-store.ts'
import { S3Server, SlowLine } from '../support/s3-server.ts'

const gate = new Outbound()

async function aServer() {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-s3-'))
  const server = await S3Server.start(folder)
  return { server, end: async () => { await server.kill(); await rm(folder, { recursive: true, force: true }) } } // prettier-ignore
}

imageStoreContract('a bucket (s3rver)', async () => {
  const { server, end } = await aServer()
  return { open: () => new S3Store('cloud', server.settings({ prefix: 'hospital-a/in-hospital/' }), gate), end }
})

describe('a bucket', () => {
  let here: Awaited<ReturnType<typeof aServer>>
  beforeAll(async () => (here = await aServer()))
  afterAll(() => here?.end())
  const put = (store: S3Store) => store.put('a.dcm', () => Readable.from([Buffer.from('a')], { objectMode: false }), 1)

  it('is tried before it is used: wrong keys, a wrong bucket and a silent server are told apart', async () => { // ARC-08
    await tryStore(new S3Store('cloud', here.server.settings(), gate), 'one')
    const wrongKey = { accessKeyId: 'nobody', secretAccessKey: 'nothing' }
    await expect(tryStore(new S3Store('cloud', here.server.settings({ credentials: wrongKey }), gate), 'one')).rejects.toMatchObject({ code: 'store/refused', facts: { status: 403 } })
    await expect(tryStore(new S3Store('cloud', here.server.settings({ bucket: 'no-such-bucket' }), gate), 'one')).rejects.toMatchObject({ code: 'store/refused', facts: { code: 'NoSuchBucket' } })
    await expect(tryStore(new S3Store('cloud', here.server.settings({ endpoint: 'http://127.0.0.1:1', retries: 0 }), gate), 'one')).rejects.toMatchObject({ code: 'store/unreachable' })
  })
  it('is reached through the gate for outgoing addresses only', async () => { // SEC-09
    const strict = new Outbound({ config: OutboundConfig.parse({ loopback: 'refused' }) })
    await expect(put(new S3Store('cloud', here.server.settings(), strict))).rejects.toMatchObject({ code: 'outbound/refused' })
    await expect(put(new S3Store('cloud', here.server.settings({ endpoint: 'http://169.254.169.254' }), gate))).rejects.toMatchObject({ code: 'outbound/refused' })
  })
  it('that has gone is out of reach, and comes back', async () => {
    const store = new S3Store('cloud', here.server.settings(), gate)
    await here.server.kill()
    await expect(put(store)).rejects.toMatchObject({ code: 'store/unreachable' })
    await here.server.begin()
    await put(store)
    expect(await store.head('a.dcm')).toMatchObject({ sizeBytes: 1 })
    store.close()
  })
})

describe('a slow bucket', () => {
  it('slows no modality: images are acknowledged at the disk’s pace and wait in the queue', async () => { // ARC-08
    const here = await aServer()
    const line = await SlowLine.to(() => here.server.port)
    const test = await testArchive()
    try {
      line.bytesPerSecond = 400_000
      const store = new S3Store('far', here.server.settings({ endpoint: line.endpoint }), gate)
      const rule = { ruleId: 'all', name: 'all', to: 'far', after: 'received' as const, days: 0, modalities: [], owners: [], campuses: [] }
      test.archive.storage.apply({ stores: [store], policy: { ...defaultPolicy, tierRules: [rule], keepLocalDays: 0, integrity: { ...defaultPolicy.integrity, everyDays: 0 } } })
      const began = performance.now()
      for (let study = 1; study <= 10; study += 1) await sendSlice(test.archive, { StudyInstanceUID: `2.25.${study}`, SeriesInstanceUID: `2.25.${study}.1`, SOPInstanceUID: `2.25.${study}.1.1`, PixelData: Buffer.alloc(400_000, study) })
      const tookMs = performance.now() - began
      expect(tookMs).toBeLessThan(5_000) // the line alone needs ten seconds for it, and as many to read it back
      await vi.waitFor(async () => expect((await test.archive.storage.moves()).length).toBeGreaterThan(5), { timeout: 5_000, interval: 50 })
      expect((await (await test.archive.open('2.25.10.1.1')).read(0, 200)).subarray(128, 132).toString()).toBe('DICM')
      line.bytesPerSecond = Infinity
      await vi.waitFor(async () => expect(await test.archive.storage.tiers()).toMatchObject([{ storeId: 'far', studies: 10 }]), { timeout: 30_000, interval: 100 })
    } finally {
      await test.close()
      line.close()
      await here.end()
    }
  }, 60_000)
})

storageContract('a bucket (s3rver) and SQLite', async () => {
  const { server, end } = await aServer()
  return { open: () => new S3Store('far', server.settings({ prefix: 'hospital-a/in-hospital/', retries: 0 }), gate), down: () => server.kill(), up: () => server.begin(), end }
})
