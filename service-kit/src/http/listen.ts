import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Name of the setting that an administrator would change. */
  readonly setting?: string
}

const reasons: Readonly<Record<string, { zh: string; en: string }>> = {
  EADDRINUSE: { zh: '已被其他程序占用', en: 'is taken by another program' },
  EACCES: { zh: '没有权限使用', en: 'may not be used without more rights' },
  EADDRNOTAVAIL: { zh: '的地址不属于本机', en: 'is at an address that is not of this machine' },
}

/** @throws An error that names the port, why it cannot be had, and the setting to change. */
export async function listen(
  handler: RequestListener,
  { host, port, setting = 'http.port' }: ListenOptions,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ requestTimeout: 15 * 60_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 }, handler)
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
  return { server, port: (server.address() as AddressInfo).port }
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
