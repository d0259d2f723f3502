import type { Socket } from 'node:net'
import type { Log } from '../log/index.ts'
import type { Server } from './listen.ts'

/**
 * Writes a line when a connection opens and one when it ends, so that the log shows everybody who reached this port:
 * also whoever asked nothing, and whoever fetched a thousand images whose requests are too many for a line each (FED-05).
 */
export function logConnections(server: Server, log: Log): void {
  // By both ends of the connection: with TLS a request knows another socket than the connection began with.
  const asked = new Map<string, number>()
  const keyOf = ({ remoteAddress, remotePort, localPort }: Socket) => `${remoteAddress} ${remotePort} ${localPort}`
  server.on('request', ({ socket }) => {
    const key = keyOf(socket)
    const count = asked.get(key)
    if (count !== undefined) asked.set(key, count + 1)
  })
  server.on('connection', (socket: Socket) => {
    const opened = performance.now()
    // Read now: a closed socket has forgotten them.
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    const ends = { remoteAddress, remotePort, localAddress, localPort }
    const key = keyOf(socket)
    asked.set(key, 0)
    log.info(ends, 'HTTP connection opened')
    socket.once('close', () => {
      const { bytesRead, bytesWritten } = socket
      const milliseconds = Math.round(performance.now() - opened)
      const requests = asked.get(key) ?? 0
      asked.delete(key)
      log.info({ ...ends, requests, bytesRead, bytesWritten, milliseconds }, 'HTTP connection ended')
    })
  })
}
