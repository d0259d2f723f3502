import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Log } from '../log/index.ts'
import type { TlsFiles } from './config.ts'

/**
 * TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only (RFC 9325, which BCP 195 and with it DICOM PS3.15 B.12
 * point to). TLS 1.3 suites need no naming.
 */
export const modernTls = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_128_GCM_SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
  ].join(':'),
  ecdhCurve: 'X25519:P-256:P-384',
  honorCipherOrder: true,
} as const satisfies SecureContextOptions

export interface ServerCertificate {
  readonly options: SecureContextOptions
  /** Epoch ms. */
  readonly notAfter: number
  readonly subject: string
}

/** @throws An Error for the administrator: which file, which setting, what is wrong with it. */
export function readServerCertificate({ certFile, keyFile }: TlsFiles, setting: string, now = Date.now()): ServerCertificate {
  const [cert, key] = [read(certFile, `${setting}.certFile`), read(keyFile, `${setting}.keyFile`)]
  const certificate = parsed(`${setting}.certFile`, certFile, () => new X509Certificate(cert))
  const privateKey = parsed(`${setting}.keyFile`, keyFile, () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) throw fault(`${setting}.keyFile`, keyFile, '私钥与证书不匹配', 'the key is not that of the certificate')
  const notAfter = new Date(certificate.validTo).getTime()
  if (notAfter <= now) throw fault(`${setting}.certFile`, certFile, `证书已于 ${certificate.validTo} 过期`, `the certificate ended at ${certificate.validTo}`)
  const options = { ...modernTls, cert, key }
  parsed(`${setting}.certFile`, certFile, () => createSecureContext(options))
  return { options, notAfter, subject: certificate.subject }
}

function read(file: string, setting: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw fault(setting, file, '无法读取', 'cannot be read', cause)
  }
}

function parsed<T>(setting: string, file: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw fault(setting, file, '内容无效（应为 PEM）', 'is not valid PEM of its kind', cause)
  }
}

const fault = (setting: string, file: string, zh: string, en: string, cause?: unknown) =>
  new Error(`TLS 配置 ${setting}（${file}）：${zh} / ${setting} (${file}): ${en}`, { cause })

export interface WatchOptions {
  readonly setting: string
  readonly log: Log
  /** How often the files are looked at; renewal tools replace them whenever they like. */
  readonly everyMs?: number
  readonly use: (certificate: ServerCertificate) => void
}

/**
 * Takes a renewed certificate into use without a restart: connections that are open go on with the old one. A pair that does not fit
 * (half written, wrong key) is told and not used; the old one stays.
 *
 * @returns ends the watch.
 */
export function watchServerCertificate(files: TlsFiles, { setting, log, everyMs = 10_000, use }: WatchOptions): () => void {
  let seen = stateOf(files)
  const timer = setInterval(() => {
    const now = stateOf(files)
    if (now === seen) return
    seen = now
    try {
      const certificate = readServerCertificate(files, setting)
      use(certificate)
      log.info({ setting, subject: certificate.subject, notAfter: new Date(certificate.notAfter).toISOString() }, 'renewed TLS certificate in use')
    } catch (error) {
      log.error({ err: error, setting }, 'the renewed TLS certificate cannot be used, the former one stays')
    }
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Renewal tools rename files or change what a symbolic link points to: modification time, size and inode tell. */
function stateOf({ certFile, keyFile }: TlsFiles): string {
  return [certFile, keyFile]
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false })
      return stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'missing'
    })
    .join(' | ')
}
