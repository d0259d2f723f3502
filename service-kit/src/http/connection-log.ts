import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../log/index.ts'

/**
 * Writes a line when a connection opens and one when it ends, so that the log shows everybody who reached this port:
 * also whoever asked nothing, and whoever fetched a thousand images whose requests are too many for a line each (FED-05).
 */
export function logConnections(server: Server, log: Log): void {
  const asked = new WeakMap<Socket, number>()
  server.on('request', ({ socket }) => asked.set(socket, (asked.get(socket) ?? 0) + 1))
  server.on('connection', (socket: Socket) => {
    const opened = performance.now()
    // Read now: a closed socket has forgotten them.
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    const ends = { remoteAddress, remotePort, localAddress, localPort }
    log.info(ends, 'HTTP connection opened')
    socket.once('close', () => {
      const { bytesRead, bytesWritten } = socket
      const milliseconds = Math.round(performance.now() - opened)
      log.info({ ...ends, requests: asked.get(socket) ?? 0, bytesRead, bytesWritten, milliseconds }, 'HTTP connection ended')
    })
  })
}
