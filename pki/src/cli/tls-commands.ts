import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createTlsAuthority, issueTlsCertificate } from '../tls/tls-authority.ts'
import type { Command } from './command.ts'
import { readText, replaceFile, writeNewKey } from './files.ts'

const CA_DAYS = 20 * 365

/**
 * For a hospital without certificates of its own: a TLS root in a folder, made at the first call, and a server certificate under it.
 * Calling it again renews the certificate; the root that browsers and devices were given stays.
 */
export const tlsServer: Command = {
  about: '签发 HTTPS、DICOM TLS 用的服务器证书（ECDSA P-256） certificate of a server for HTTPS and DICOM TLS, under a TLS root of your own',
  options: {
    ca: { about: 'TLS 根所在目录，首次使用时建立 folder of the TLS root, made at the first call', value: 'folder', required: true },
    name: { about: '域名或 IP，可重复，首个为主 host name or address', value: 'host', required: true, several: true },
    out: { about: '输出目录 folder for server.cert.pem and server.key.pem', value: 'folder', required: true },
    days: { about: '有效期（天）validity in days', value: 'days', fallback: '397' },
  },
  run(options, terminal) {
    const [folder, out] = [options.text('ca'), options.text('out')]
    const files = { certificate: join(folder, 'tls-ca.cert.pem'), key: join(folder, 'tls-ca.key.pem') }
    if (!existsSync(files.certificate)) {
      const made = createTlsAuthority({ name: 'Lianpian TLS', days: CA_DAYS, now: terminal.now() })
      writeNewKey(files.key, made.privateKeyPem)
      replaceFile(files.certificate, made.certificatePem)
    }
    const root = { certificatePem: readText(files.certificate), privateKeyPem: readText(files.key) }
    const server = issueTlsCertificate(root, { names: options.list('name'), days: options.days('days'), now: terminal.now() })
    // The running service takes a pair only when it fits, so the short moment between the two does no harm.
    replaceFile(join(out, 'server.key.pem'), server.privateKeyPem, 0o600)
    replaceFile(join(out, 'server.cert.pem'), server.certificatePem)
    terminal.print(`${join(out, 'server.cert.pem')}  ${join(out, 'server.key.pem')}`)
    terminal.print(`根证书，装入浏览器与设备 the root, for browsers and devices: ${files.certificate}`)
  },
}
