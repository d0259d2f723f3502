import { X509Certificate } from 'node:crypto'
import { createServer, connect, type TLSSocket } from 'node:tls'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createTlsAuthority, issueTlsCertificate } from './tls-authority.ts'

const days = 365
const root = createTlsAuthority({ name: '云岭区域影像网 TLS 根', days: 3650 })

describe('an authority for TLS', () => {
  it('certifies a server under every name and address by which it is reached', () => {
    // SEC-11
    const { certificatePem } = issueTlsCertificate(root, { names: ['pacs.hospital.example', '10.1.2.3', '2001:db8::1:2', '::1'], days })
    const certificate = new X509Certificate(certificatePem)
    expect(certificate.verify(new X509Certificate(root.certificatePem).publicKey)).toBe(true)
    expect(certificate.checkHost('pacs.hospital.example')).toBe('pacs.hospital.example')
    expect(['10.1.2.3', '2001:db8::1:2', '::1'].map((address) => certificate.checkIP(address))).toEqual([
      '10.1.2.3',
      '2001:db8::1:2',
      '::1',
    ])
    expect(certificate.checkHost('other.example')).toBeUndefined()
    expect(certificate.ca).toBe(false)
    expect(certificate.checkIssued(new X509Certificate(root.certificatePem))).toBe(true)
  })

  it('does not let a server certify others, nor outlive its root', () => {
    const server = issueTlsCertificate(root, { names: ['a.example'], days })
    expect(() => issueTlsCertificate(server, { names: ['b.example'], days })).toThrow(/authority/)
    const long = new X509Certificate(issueTlsCertificate(root, { names: ['a.example'], days: 36_500 }).certificatePem)
    expect(long.validTo).toBe(new X509Certificate(root.certificatePem).validTo)
  })

  it('is believed by whoever was given its root, and by nobody else', async () => {
    const { certificatePem, privateKeyPem } = issueTlsCertificate(root, { names: ['nats.example'], days })
    const server = createServer({ cert: certificatePem, key: privateKeyPem }, (socket) => socket.end('hello'))
    server.on('tlsClientError', () => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const meet = async (ca: string, servername: string): Promise<string> => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca, servername })
      try {
        await once(socket, 'secureConnect')
        return 'trusted'
      } catch (error) {
        return error instanceof Error && 'code' in error ? String(error.code) : 'failed'
      } finally {
        socket.destroy()
      }
    }
    expect(await meet(root.certificatePem, 'nats.example')).toBe('trusted')
    expect(await meet(root.certificatePem, 'other.example')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await meet(createTlsAuthority({ name: 'another', days }).certificatePem, 'nats.example')).not.toBe('trusted')
    server.close()
  })
})
