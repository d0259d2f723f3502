import type { Socket } from 'node:net'
import type { Log } from '../log/index.ts'
import type { Server } from './listen.ts'

/**
 * Closes connections of an address that holds too many: one visitor must not use up what all others need (SEC-09). Behind a proxy
 * every connection is the proxy's, and the proxy counts.
 *
 * @param perAddress 0: no limit.
 */
export function limitConnections(server: Server, perAddress: number, log: Log): void {
  if (perAddress === 0) return
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? 'unknown' // read now: a closed socket has forgotten it
    const count = (open.get(address) ?? 0) + 1
    if (count > perAddress) {
      log.warn({ remoteAddress: address, connections: perAddress }, 'too many HTTP connections of one address')
      return void socket.destroy()
    }
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left === 0) open.delete(address)
      else open.set(address, left)
    })
  })
}
