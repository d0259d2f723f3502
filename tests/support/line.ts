import { createServer, connect, type IpcSocketConnectOpts, type Server, type Socket, type TcpSocketConnectOpts } from 'node:net'

/** An address, or a Unix socket: those are reached from every network namespace. */
type Target = Pick<TcpSocketConnectOpts, 'host' | 'port'> | IpcSocketConnectOpts

/**
 * A line that can be cut: a TCP relay between a hospital and the hub's NATS. Cut means what a torn cable means:
 * established connections end, new ones are refused. Counts bytes, so that a test knows when the middle is reached.
 */
export class Line {
  readonly #server: Server
  readonly #target: Target
  readonly #sockets = new Set<Socket>()
  #isCut = false
  bytesOut = 0
  bytesIn = 0
  #cutAtBytesOut = Number.POSITIVE_INFINITY

  private constructor(target: Target) {
    this.#target = target
    this.#server = createServer((near) => this.#relay(near))
  }

  static async open(target: Target): Promise<Line> {
    const line = new Line(target)
    await new Promise<void>((resolve, reject) => line.#server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return line
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the line is closed')
    return address.port
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts in the middle of whatever is on its way, once this many more bytes have left the hospital. */
  cutAfter(bytes: number): void {
    this.#cutAtBytesOut = this.bytesOut + bytes
  }

  get isCut(): boolean {
    return this.#isCut
  }

  mend(): void {
    this.#cutAtBytesOut = Number.POSITIVE_INFINITY
    this.#isCut = false
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #relay(near: Socket): void {
    if (this.#isCut) {
      near.destroy()
      return
    }
    const far = connect(this.#target)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    }
    near.on('data', (chunk) => {
      this.bytesOut += chunk.length
      if (this.bytesOut >= this.#cutAtBytesOut) this.cut()
    })
    far.on('data', (chunk) => (this.bytesIn += chunk.length))
    // Either end going away ends the other; errors are what a cut is made of.
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.pipe(far)
    far.pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  }
}
