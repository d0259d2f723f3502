import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { S3StoreSettings } from '../../src/archive/storage/s3-store.ts'

const bin = path.join(path.dirname(createRequire(import.meta.url).resolve('s3rver/package.json')), 'bin/s3rver.js')
export const s3Credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

/** A real S3-compatible server (s3rver) as a process of its own on a free port; what it keeps lies in `folder`. */
export class S3Server {
  readonly bucket = 'lianpian'
  readonly #folder: string
  #child: ChildProcess | undefined
  port = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async start(folder: string): Promise<S3Server> {
    const server = new S3Server(folder)
    server.port = await freePort()
    await server.begin()
    return server
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Again on the same port and folder, as after an outage. */
  async begin(): Promise<void> {
    const args = [bin, '--directory', this.#folder, '--address', '127.0.0.1', '--port', String(this.port), '--configure-bucket', this.bucket, '--silent']
    this.#child = spawn(process.execPath, args, { stdio: 'ignore' })
    for (let tries = 0; !(await answers(this.port)); tries += 1) {
      if (tries > 200 || this.#child.exitCode !== null) throw new Error('s3rver does not come up')
      await sleep(50)
    }
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  settings(more: Partial<S3StoreSettings> = {}): S3StoreSettings {
    return {
      endpoint: this.endpoint, region: 'us-east-1', bucket: this.bucket, pathStyle: true, prefix: '', credentials: s3Credentials,
      timeoutMs: 5_000, retries: 1, retryMs: 20, partBytes: 5 * 1024 * 1024, ...more,
    } // prettier-ignore
  }
}

/** Between a node and a server: lets bytes through at a pace, or none. */
export class SlowLine {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  bytesPerSecond = Infinity
  #port = 0

  private constructor(target: () => number) {
    this.#server = createServer((socket) => {
      const onward = createConnection(target(), '127.0.0.1')
      for (const [from, to] of [[socket, onward], [onward, socket]] as const) {
        this.#sockets.add(from)
        from.on('error', () => to.destroy()).on('close', () => to.destroy())
        from.on('data', (chunk: Buffer) => {
          from.pause()
          const wait = this.bytesPerSecond === Infinity ? 0 : (chunk.length / this.bytesPerSecond) * 1_000
          setTimeout(() => { to.write(chunk); from.resume() }, wait) // prettier-ignore
        })
      }
    })
  }

  static async to(target: () => number): Promise<SlowLine> {
    const line = new SlowLine(target)
    line.#server.listen(0, '127.0.0.1')
    await once(line.#server, 'listening')
    line.#port = (line.#server.address() as { port: number }).port
    return line
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => { socket.destroy(); resolve(true) }).once('error', () => resolve(false)) // prettier-ignore
  })
