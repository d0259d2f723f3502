import { createServer, type RequestListener, type Server as HttpServer, type ServerOptions } from 'node:http'
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https'
import { isIP, type AddressInfo, type Socket } from 'node:net'
import type { Log } from '../log/index.ts'
import type { PlainHttp, TlsFiles } from './config.ts'
import { readServerCertificate, watchServerCertificate } from './tls.ts'

export type Server = HttpServer | HttpsServer

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Name of the setting that an administrator would change. */
  readonly setting?: string
  readonly tls?: TlsFiles | undefined
  /** Listening without TLS on an address that others reach; see httpSettings. */
  readonly plain?: PlainHttp
  /** How often a renewed certificate is looked for. */
  readonly tlsWatchMs?: number
}

export interface Listening {
  readonly server: Server
  readonly port: number
  /** End of the server certificate, epoch ms; undefined without TLS. Changes with a renewal. */
  readonly certificateEnds: () => number | undefined
}

const reasons: Readonly<Record<string, { zh: string; en: string }>> = {
  EADDRINUSE: { zh: '已被其他程序占用', en: 'is taken by another program' },
  EACCES: { zh: '没有权限使用', en: 'may not be used without more rights' },
  EADDRNOTAVAIL: { zh: '的地址不属于本机', en: 'is at an address that is not of this machine' },
}

/**
 * What a slow or careless peer may cost (SEC-09): headers of 16 KiB at most in 20 s; a whole upload in 15 min of steady arrival, see
 * body-limits.ts for what a body must do meanwhile.
 */
const serverLimits: ServerOptions = {
  headersTimeout: 20_000,
  requestTimeout: 15 * 60_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
}
const MAX_HEADERS = 100
const TLS_HANDSHAKE_MS = 10_000

/** @throws An error that names the port, why it cannot be had, and the setting to change. */
export async function listen(handler: RequestListener, options: ListenOptions, log: Log): Promise<Listening> {
  const { host, port, setting = 'http.port', tls, plain = 'refused' } = options
  if (!tls) refuseOpenPlain(host, plain, setting)
  const setup = tls && secureServer(handler, tls, options, log)
  const server = setup?.server ?? createServer(serverLimits, handler)
  server.maxHeadersCount = MAX_HEADERS
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = reasons[error.code ?? '']
      const told =
        reason &&
        `端口 ${host}:${port} ${reason.zh}，请修改配置 ${setting} / port ${host}:${port} ${reason.en}, change the setting ${setting}`
      reject(new Error(told ?? `cannot listen on ${host}:${port} (setting ${setting})`, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
  return { server, port: (server.address() as AddressInfo).port, certificateEnds: () => setup?.ends() }
}

function secureServer(handler: RequestListener, tls: TlsFiles, { setting = 'http.port', tlsWatchMs }: ListenOptions, log: Log) {
  const tlsSetting = setting.replace(/\.port$/, '.tls')
  let certificate = readServerCertificate(tls, tlsSetting)
  const server = createTlsServer({ ...serverLimits, ...certificate.options, handshakeTimeout: TLS_HANDSHAKE_MS }, handler)
  // Scanners and plain HTTP by mistake: a line for whoever looks, no more.
  server.on('tlsClientError', (error, socket: Socket) => {
    log.debug({ err: error, remoteAddress: socket.remoteAddress }, 'TLS handshake failed')
    socket.destroy()
  })
  const endWatch = watchServerCertificate(tls, {
    setting: tlsSetting,
    log,
    ...(tlsWatchMs !== undefined && { everyMs: tlsWatchMs }),
    use: (renewed) => {
      server.setSecureContext(renewed.options)
      certificate = renewed
    },
  })
  server.once('close', endWatch)
  return { server, ends: () => certificate.notAfter }
}

/** Passwords, session cookies and images would cross the network readable by everybody on it. */
function refuseOpenPlain(host: string, plain: PlainHttp, setting: string): void {
  if (isLoopbackHost(host) || plain !== 'refused') return
  const section = setting.replace(/\.port$/, '')
  throw new Error(
    `拒绝在 ${host} 上以明文 HTTP 提供服务：密码与影像会被窃听。请配置 ${section}.tls（certFile、keyFile）；若前面有终止 TLS 的反向代理，请设 ${section}.plain 为 "behind-proxy"；仅在受控测试网络可设为 "allowed"。` +
      ` / Not listening on ${host} in plain HTTP: set ${section}.tls, or ${section}.plain to "behind-proxy" when a proxy in front ends TLS, or to "allowed" in a network of test machines.`,
  )
}

/** Addresses that nobody outside this machine reaches. A name other than localhost may point anywhere. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '')
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}

/** Lets running requests finish until the deadline, then cuts them. */
export async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), deadlineMs)
  await new Promise<void>((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()))
    server.closeIdleConnections()
  })
  clearTimeout(cut)
}
