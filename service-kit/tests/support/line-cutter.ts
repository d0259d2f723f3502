import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'

/** A stretch of network between a node and the server that can be cut like a cable or stall like a bad line. */
export interface LineCutter {
  readonly url: string
  /** All connections break and no new one is possible. */
  cut(): void
  /** Connections stay open but carry nothing; new ones are accepted and carry nothing either. */
  stall(): void
  /** New connections work; stalled ones stay dead. */
  restore(): void
  close(): Promise<void>
}

export async function startLineCutter(targetPort: number): Promise<LineCutter> {
  let state: 'whole' | 'cut' | 'stalled' = 'whole'
  const sockets = new Set<Socket>()
  const stalled = new Set<Socket>()

  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy()) // a cut is what we are here for
  }
  const server = createServer((near) => {
    keep(near)
    if (state === 'cut') return void near.destroy()
    const far = connect(targetPort, '127.0.0.1')
    keep(far)
    if (state === 'stalled') stalled.add(near).add(far)
    const forward = (from: Socket, to: Socket) => {
      from.on('data', (bytes) => void (stalled.has(from) || to.write(bytes)))
      from.on('close', () => void (stalled.has(from) || to.destroy()))
    }
    forward(near, far)
    forward(far, near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const breakAll = () => sockets.forEach((socket) => socket.destroy())
  return {
    url: `nats://127.0.0.1:${address.port}`,
    cut() {
      state = 'cut'
      breakAll()
    },
    stall() {
      state = 'stalled'
      sockets.forEach((socket) => stalled.add(socket))
    },
    restore() {
      state = 'whole'
    },
    async close() {
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
