import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { request as askPlain } from 'node:http'
import { createServer as createTlsServer, request as askTls, type RequestOptions } from 'node:https'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { createTlsAuthority, issueTlsCertificate } from 'pki'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { aService, type TestService } from '../../tests/support/service.ts'
import { checkProxy, httpSettings } from './config.ts'
import { readServerCertificate } from './tls.ts'

const authority = createTlsAuthority({ name: '测试 TLS 根', days: 30 })
const names = ['localhost', '127.0.0.1']

let folder: string
let service: TestService
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-tls-'))
  service = await aService()
})
afterEach(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

const files = () => ({ certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') })

/** As renewal tools do: whole files, renamed into place. */
async function install(days: number): Promise<void> {
  const { certificatePem, privateKeyPem } = issueTlsCertificate(authority, { names, days })
  for (const [file, text] of [[files().keyFile, privateKeyPem], [files().certFile, certificatePem]] as const) {
    await writeFile(`${file}.new`, text)
    await rename(`${file}.new`, file)
  }
}

interface Seen {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}
function ask(port: number, options: RequestOptions = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const request = askTls({ host: '127.0.0.1', port, path: '/health', ca: authority.certificatePem, agent: false, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    request.on('error', reject).end()
  })
}
const certificateAt = (port: number) =>
  new Promise<string>((resolve, reject) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca: authority.certificatePem }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })

describe('a service with a certificate', () => {
  it('serves TLS, tells browsers to stay with it, and answers nobody in plain text', async () => { // SEC-09 SEC-11
    await install(20)
    const { port } = await service.face.listen({ host: '127.0.0.1', port: 0, tls: files() })
    const { status, headers, body } = await ask(port)
    expect([status, headers['strict-transport-security']]).toEqual([200, expect.stringContaining('max-age=31536000')])
    expect(JSON.parse(body)).toMatchObject({ checks: { tls: { status: 'ok' } } })
    const plain = new Promise((resolve, reject) => askPlain({ host: '127.0.0.1', port, path: '/health' }, resolve).on('error', reject).end())
    await expect(plain).rejects.toThrow()
  })

  it('speaks no version before TLS 1.2 and no cipher without forward secrecy', async () => { // SEC-09
    await install(20)
    const { port } = await service.face.listen({ host: '127.0.0.1', port: 0, tls: files() })
    // Level 0 lets the client try what it would itself no longer offer.
    await expect(ask(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow()
    await expect(ask(port, { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256:AES256-SHA:DHE-RSA-AES128-SHA' })).rejects.toThrow()
    expect((await ask(port, { maxVersion: 'TLSv1.2' })).status).toBe(200)
    expect((await ask(port, { minVersion: 'TLSv1.3' })).status).toBe(200)
  })

  it('refuses old versions by itself, also where the ciphers of somebody would allow them', async () => { // SEC-09
    await install(20)
    const { options } = readServerCertificate(files(), 'http.tls')
    const server = createTlsServer({ ...options, ciphers: 'ALL:@SECLEVEL=0' }, (_request, response) => void response.end())
    server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    await expect(ask(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })).rejects.toThrow()
    expect((await ask(port, { maxVersion: 'TLSv1.2' })).status).toBe(200)
    server.close()
  })

  it('takes a renewed certificate into use without a restart, and keeps the old one when the new pair does not fit', async () => {
    await install(20)
    const { port } = await service.face.listen({ host: '127.0.0.1', port: 0, tls: files(), tlsWatchMs: 20 })
    const first = await certificateAt(port)
    await install(25)
    const until = Date.now() + 5_000
    while ((await certificateAt(port)) === first && Date.now() < until) await delay(20)
    const second = await certificateAt(port)
    expect(second).not.toBe(first)
    await writeFile(files().keyFile, issueTlsCertificate(authority, { names, days: 5 }).privateKeyPem)
    const toldBy = Date.now() + 5_000
    const isTold = () => service.logged.some(({ msg }) => String(msg).includes('the former one stays'))
    while (!isTold() && Date.now() < toldBy) await delay(20)
    expect([isTold(), await certificateAt(port)]).toEqual([true, second])
  })

  it('shows on its health page that the certificate ends soon', async () => {
    await install(5)
    const { port } = await service.face.listen({ host: '127.0.0.1', port: 0, tls: files() })
    expect(JSON.parse((await ask(port)).body)).toMatchObject({ status: 'degraded', checks: { tls: { status: 'degraded', code: 'certificate/expired' } } })
  })

  it('says which file and setting are at fault', async () => {
    await install(20)
    expect(() => readServerCertificate({ ...files(), keyFile: join(folder, 'none.pem') }, 'http.tls')).toThrow(/http\.tls\.keyFile.*none\.pem/)
    await writeFile(files().keyFile, issueTlsCertificate(authority, { names, days: 5 }).privateKeyPem)
    expect(() => readServerCertificate(files(), 'http.tls')).toThrow(/私钥与证书不匹配/)
    await install(20)
    expect(() => readServerCertificate(files(), 'http.tls', Date.now() + 30 * 86_400_000)).toThrow(/过期/)
    await writeFile(files().certFile, 'no certificate')
    await expect(service.face.listen({ host: '127.0.0.1', port: 0, tls: files(), setting: 'http.port' })).rejects.toThrow(/http\.tls\.certFile/)
  })
})

describe('plain HTTP', () => {
  const outside = Object.values(networkInterfaces()).flat().find((address) => address && !address.internal && address.family === 'IPv4')?.address

  it('is not offered where others could listen in, and the refusal says what to do', async () => { // SEC-09 SEC-11
    for (const host of ['0.0.0.0', '::', outside ?? '192.0.2.1', 'node.hospital.example'])
      await expect(service.face.listen({ host, port: 0, setting: 'http.port' })).rejects.toThrow(/拒绝.*明文 HTTP.*http\.tls.*behind-proxy/)
  })

  it('is offered on loopback, and elsewhere when somebody has decided so', async () => {
    const { port } = await service.face.listen({ host: '0.0.0.0', port: 0, plain: 'allowed' })
    const health = await fetch(`http://127.0.0.1:${port}/health`)
    expect([health.status, health.headers.get('strict-transport-security')]).toEqual([200, null])
  })

  it('behind a proxy is configured together with believing that proxy', () => {
    const Http = z.strictObject({ trustProxy: z.boolean().default(false), ...httpSettings }).superRefine(checkProxy)
    expect(Http.safeParse({ plain: 'behind-proxy' }).error?.issues[0]?.path).toEqual(['trustProxy'])
    expect(Http.safeParse({ plain: 'behind-proxy', trustProxy: true }).success).toBe(true)
  })
})
