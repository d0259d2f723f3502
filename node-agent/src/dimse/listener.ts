import { type AddressInfo, type Server } from 'node:net'
import { type Log } from 'service-kit'

export interface ListenerOptions {
  readonly host: string
  /** 0 takes a free port, and the same one again afterwards. */
  readonly port: number
  /** Name of the setting that an administrator would change when the port is taken. */
  readonly setting?: string | undefined
  readonly log: Log
  /** The wait before listening again; it doubles with each attempt in vain, up to `maxAgainMs`. */
  readonly againMs?: number
  readonly maxAgainMs?: number
  /** Told when the port was lost, and when it listens again: for the trail. */
  onState?(state: 'lost' | 'back', cause: Error | undefined): void
}

/**
 * Listens, and goes on listening (ARC-06): whatever closes the server but ourselves is logged, and the port is taken again within
 * seconds. Associations that are open live on their own sockets and do not notice.
 */
export class Listener {
  readonly #make: () => Server
  readonly #options: ListenerOptions
  #server: Server
  #port: number
  #stopping = false
  #timer: ReturnType<typeof setTimeout> | undefined

  private constructor(make: () => Server, server: Server, options: ListenerOptions) {
    this.#make = make
    this.#options = options
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    this.#watch(server)
  }

  /** @param make a new server each time; one that was closed may be unusable. @throws {Error} when the port cannot be listened on; names host and port. */
  static async start(make: () => Server, options: ListenerOptions): Promise<Listener> {
    const server = make()
    try {
      await listen(server, options.host, options.port)
    } catch (error) {
      throw portTaken(options, error)
    }
    return new Listener(make, server, options)
  }

  get server(): Server {
    return this.#server
  }

  get port(): number {
    return this.#port
  }

  /** Takes no new connection; resolves when the last one has ended. */
  close(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #watch(server: Server): void {
    let cause: Error | undefined
    server.on('error', (error) => {
      cause = error
      // Out of file descriptors, for instance: one connection could not be taken, the next may be.
      this.#options.log.error({ err: error, port: this.#port }, 'a DICOM connection could not be taken')
      if (!server.listening) this.#lost(server, error)
    })
    // With open connections 'close' comes only after the last of them: whether it listens is looked at besides.
    server.once('close', () => this.#lost(server, cause))
    const look = setInterval(() => {
      if (this.#stopping || this.#server !== server) return clearInterval(look)
      if (!server.listening) this.#lost(server, cause)
    }, 1_000)
    look.unref()
  }

  #lost(server: Server, cause: Error | undefined): void {
    if (this.#stopping || this.#server !== server || this.#timer) return
    const { log, againMs = 250, onState } = this.#options
    log.error({ err: cause, port: this.#port }, 'the DICOM port was closed by something else; it is taken again')
    onState?.('lost', cause)
    this.#again(againMs)
  }

  #again(waitMs: number): void {
    const { host, log, maxAgainMs = 5_000, onState } = this.#options
    this.#timer = setTimeout(() => {
      const server = this.#make()
      listen(server, host, this.#port).then(
        () => {
          this.#timer = undefined
          if (this.#stopping) return void server.close()
          this.#server = server
          this.#watch(server)
          log.warn({ port: this.#port }, 'the DICOM port listens again')
          onState?.('back', undefined)
        },
        (error: unknown) => {
          if (this.#stopping) return
          log.error({ err: error, port: this.#port }, 'the DICOM port cannot be taken yet')
          this.#again(Math.min(waitMs * 2, maxAgainMs))
        },
      )
    }, waitMs)
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function portTaken({ host, port, setting = 'dimse.port' }: ListenerOptions, cause: unknown): Error {
  const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : String(cause)
  const told = `DICOM 端口 ${host}:${port} 无法使用（${reason}），请修改配置 ${setting} / DICOM port ${host}:${port} cannot be used (${reason}), change the setting ${setting}`
  return new Error(told, { cause })
}
