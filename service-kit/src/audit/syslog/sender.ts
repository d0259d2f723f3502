import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, isIP, isIPv6, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { SyslogConfig } from '../config.ts'
import { framed } from './message.ts'

/** Hands messages to a collector. */
export interface SyslogSender {
  /** Resolves when the collector has, as far as its transport lets us know, taken them. @throws when it has not. */
  send(messages: readonly Buffer[]): Promise<void>
  close(): Promise<void>
}

const CONNECT_MS = 10_000
/** Syslog has no answer. A collector that died shows by a reset soon after we wrote; what was written just before is sent again. */
const PROVE_ALIVE_MS = 500

export async function openSyslogSender(config: SyslogConfig): Promise<SyslogSender> {
  return config.transport === 'udp' ? udpSender(config) : streamSender(config)
}

/** RFC 5426: one message in one datagram. Nobody tells whether it arrived. */
function udpSender({ host, port }: SyslogConfig): SyslogSender {
  let socket: UdpSocket | undefined
  return {
    async send(messages) {
      socket ??= createSocket(isIPv6(host) ? 'udp6' : 'udp4').on('error', () => (socket = undefined))
      const open = socket
      for (const message of messages) {
        await new Promise<void>((resolve, reject) => open.send(message, port, host, (error) => (error ? reject(error) : resolve())))
      }
    },
    async close() {
      socket?.close()
    },
  }
}

function streamSender(config: SyslogConfig): SyslogSender {
  let socket: Socket | undefined

  async function open(): Promise<Socket> {
    if (socket && !socket.destroyed) return socket
    const { host, port, transport } = config
    const made = transport === 'tcp' ? connect({ host, port }) : connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...(await tlsFiles(config)) })
    made.setKeepAlive(true, 10_000)
    const timeout = setTimeout(() => made.destroy(new Error('no answer of the collector')), CONNECT_MS)
    made.on('error', () => made.destroy())
    made.resume() // a collector says nothing; reading is how its leaving is noticed
    made.once('end', () => made.destroy())
    try {
      await once(made, transport === 'tcp' ? 'connect' : 'secureConnect')
    } finally {
      clearTimeout(timeout)
    }
    socket = made
    return made
  }

  return {
    async send(messages) {
      const to = await open()
      for (const message of messages) {
        if (!to.write(framed(message))) await Promise.race([once(to, 'drain'), once(to, 'close')])
        if (to.destroyed) throw new Error('the collector has left')
      }
      const gone = new AbortController()
      await Promise.race([delay(PROVE_ALIVE_MS, undefined, { signal: gone.signal }), once(to, 'close', { signal: gone.signal })]).finally(() => gone.abort())
      if (to.destroyed) throw new Error('the collector has left')
    },
    async close() {
      if (!socket || socket.destroyed) return
      socket.end()
      await Promise.race([once(socket, 'close'), delay(1_000)])
      socket.destroy()
    },
  }
}

async function tlsFiles({ caFile, certificateFile, keyFile }: SyslogConfig) {
  const [ca, cert, key] = await Promise.all([caFile, certificateFile, keyFile].map((file) => (file === undefined ? undefined : readFile(file))))
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), minVersion: 'TLSv1.2' as const }
}
