import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { kindOfAddress } from './address.ts'
import { OutboundConfig } from './config.ts'
import { outboundFetch } from './fetch.ts'
import { Outbound, type OutboundOptions, type Resolve } from './outbound.ts'

const refusal = (reason: string) => expect.objectContaining({ code: 'outbound/refused', facts: expect.objectContaining({ reason }) as unknown })
/** Of a hospital: its pages are in its network. */
const gate = (config: Partial<OutboundConfig> = {}, more: Partial<OutboundOptions> = {}) =>
  new Outbound({ config: OutboundConfig.parse(config), own: { host: '10.1.0.5', behindProxy: false }, ...more })
const answering = (...addresses: string[]): Resolve => () => Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))

describe('what lies behind an address', () => {
  it('is told in every spelling', () => { // SEC-09
    const expected = {
      loopback: ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::'],
      metadata: ['169.254.169.254', '::ffff:169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '64:ff9b::a9fe:a9fe'],
      'link-local': ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'],
      private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fd12::1', '::ffff:10.0.0.1', '203.0.113.9', '2001:db8::1'],
      reserved: ['0.0.0.0', '::', '224.0.0.1', '255.255.255.255', '240.0.0.1', 'ff02::1', '::ffff:0.0.0.0'],
      public: ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2400:3200::1', '11.0.0.1'],
    }
    for (const [kind, addresses] of Object.entries(expected)) expect(Object.fromEntries(addresses.map((address) => [address, kindOfAddress(address)]))).toEqual(Object.fromEntries(addresses.map((address) => [address, kind])))
  })
})

describe('an address that an administrator enters', () => {
  it('may be a hospital’s own network or the internet, never a cloud’s metadata, a link-local or a reserved address', async () => { // SEC-09
    const outbound = gate()
    for (const host of ['10.2.3.4', '192.168.7.7', '::ffff:10.2.3.4', '8.8.8.8']) await expect(outbound.check('dicom-node', host)).resolves.toBeUndefined()
    await expect(outbound.check('dicom-node', '169.254.169.254')).rejects.toEqual(refusal('metadata'))
    await expect(outbound.check('hub', 'http://[::ffff:a9fe:a9fe]/latest/meta-data')).rejects.toEqual(refusal('metadata'))
    await expect(outbound.check('hub', 'http://0xa9fea9fe/')).rejects.toEqual(refusal('metadata'))
    await expect(outbound.check('hub', 'http://169.254.1.1')).rejects.toEqual(refusal('link-local'))
    await expect(outbound.check('dicom-node', '0.0.0.0')).rejects.toEqual(refusal('reserved'))
    await expect(outbound.check('dicom-node', '224.0.0.1')).rejects.toEqual(refusal('reserved'))
  })

  it('is this machine only where everything is on this machine, or where somebody said so', async () => { // SEC-09
    for (const host of ['127.0.0.1', 'localhost', '::1']) await expect(gate().check('dicom-node', host)).rejects.toEqual(refusal('loopback'))
    await expect(gate({ loopback: 'allowed' }).check('dicom-node', '127.0.0.1')).resolves.toBeUndefined()
    await expect(new Outbound().check('dicom-node', '127.0.0.1')).resolves.toBeUndefined()
    await expect(new Outbound({ own: { host: '127.0.0.1', behindProxy: true } }).check('dicom-node', '127.0.0.1')).rejects.toEqual(refusal('loopback'))
    await expect(new Outbound({ config: OutboundConfig.parse({ loopback: 'refused' }) }).check('dicom-node', '127.0.0.1')).rejects.toEqual(refusal('loopback'))
  })

  it('begins as its purpose wants it and holds no password', async () => { // SEC-09
    for (const url of ['file:///etc/passwd', 'gopher://10.0.0.1', 'ftp://10.0.0.1', 'not an address', 'javascript:alert(1)']) await expect(gate().check('hub', url)).rejects.toEqual(refusal('scheme'))
    await expect(gate().check('hub', 'http://user:secret@10.0.0.1')).rejects.toEqual(refusal('credentials in the address'))
    await expect(gate().check('nats', 'tls://10.0.0.1:4222')).resolves.toBeUndefined()
    await expect(gate().check('nats', 'tls://169.254.169.254:80')).rejects.toEqual(refusal('metadata'))
  })

  it('must be on the list where there is one', async () => { // SEC-09
    const outbound = gate({ only: ['10.2.0.0/16', 'hub.region.cn', '*.health.cn'] }, { resolve: answering('8.8.4.4') })
    await expect(outbound.check('dicom-node', '10.2.3.4')).resolves.toBeUndefined()
    await expect(outbound.check('dicom-node', '10.3.3.4')).rejects.toEqual(refusal('not in outbound.only'))
    await expect(outbound.check('hub', 'https://hub.region.cn')).resolves.toBeUndefined()
    await expect(outbound.check('oidc', 'https://sso.health.cn')).resolves.toBeUndefined()
    await expect(outbound.check('oidc', 'https://sso.health.cn.evil.example')).rejects.toEqual(refusal('not in outbound.only'))
    // On the list by name, but pointing to where nobody may go.
    await expect(gate({ only: ['hub.region.cn'] }, { resolve: answering('169.254.169.254') }).check('hub', 'https://hub.region.cn')).rejects.toEqual(refusal('metadata'))
  })

  it('is refused when any of its addresses is forbidden, and tells nobody what it resolved to', async () => {
    const error: unknown = await gate({}, { resolve: answering('10.2.3.4', '127.0.0.1') }).check('hub', 'http://two-faced.example').catch((thrown: unknown) => thrown)
    expect(error).toEqual(refusal('loopback'))
    expect(JSON.stringify(error)).not.toContain('10.2.3.4')
  })

  it('that cannot be resolved now may be saved: networks come back', async () => {
    const outbound = gate({}, { resolve: () => Promise.reject(new Error('ENOTFOUND')) })
    await expect(outbound.check('hub', 'http://hub.example')).resolves.toBeUndefined()
  })

  it('in a wrongly written list is named at the start', () => {
    for (const entry of ['10.0.0.0/40', 'http://x', 'a b', '10.0.0.0/8/8']) expect(OutboundConfig.safeParse({ only: [entry] }).success).toBe(false)
  })
})

describe('a connection through the gate', () => {
  let server: Server | undefined
  afterEach(() => void server?.close())
  async function serving(answer: (url: string) => { status: number; headers?: Record<string, string>; body?: string }): Promise<number> {
    server = createServer((request, response) => {
      const { status, headers = {}, body = '' } = answer(request.url ?? '')
      response.writeHead(status, headers).end(body)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  it('goes to the address that was checked, though the name means another one a moment later', async () => { // SEC-09
    let asked = 0
    const rebinding: Resolve = () => Promise.resolve([{ address: asked++ < 2 ? '10.255.255.1' : '127.0.0.1', family: 4 as const }])
    const outbound = gate({}, { resolve: rebinding })
    await outbound.check('hub', 'http://rebind.example') // when it is entered; once more before the connection, and then for the connection itself
    const port = await serving(() => ({ status: 200, body: 'the inner secret' }))
    await expect(outboundFetch(outbound, `http://rebind.example:${port}/`, {}, { purpose: 'hub' })).rejects.toEqual(refusal('loopback'))
    const socket = connect({ host: 'rebind.example', port, lookup: outbound.lookupFor('dicom-node') })
    const [error] = (await once(socket, 'error')) as [unknown]
    expect(error).toEqual(refusal('loopback'))
  })

  it('follows no redirection', async () => { // SEC-09
    const port = await serving((url) => (url === '/' ? { status: 302, headers: { location: 'http://169.254.169.254/' } } : { status: 200 }))
    await expect(outboundFetch(new Outbound(), `http://127.0.0.1:${port}/`, {}, { purpose: 'hub' })).rejects.toThrow(/redirection/)
  })

  it('takes an answer as it is, but no endless one', async () => {
    const port = await serving((url) => ({ status: url === '/bad' ? 409 : 200, headers: { 'content-type': 'application/json' }, body: url === '/long' ? 'x'.repeat(5_000) : '{"ok":true}' }))
    const ask = (path: string) => outboundFetch(new Outbound(), `http://127.0.0.1:${port}${path}`, { method: 'POST', body: '{}' }, { purpose: 'hub', maxBytes: 4_000 })
    expect(await (await ask('/')).json()).toEqual({ ok: true })
    expect((await ask('/bad')).status).toBe(409)
    await expect(ask('/long')).rejects.toThrow(/longer than 4000 bytes/)
  })
})
