import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { Outbound, OutboundConfig } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { imageStoreContract } from '../../src/archive/storage/image-store.contract.ts'
import { tryStore } from '../../src/archive/storage/image-store.ts'
import { storageContract } from '../../src/archive/storage/storage.contract.ts'
import { S3Store } from '../../src/archive/storage/s3-store.ts'
import { S3Server } from '../support/s3-server.ts'

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

storageContract('a bucket (s3rver) and SQLite', async () => {
  const { server, end } = await aServer()
  return { open: () => new S3Store('far', server.settings({ prefix: 'hospital-a/in-hospital/', retries: 0 }), gate), down: () => server.kill(), up: () => server.begin(), end }
})
