import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, closeSync, existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { compiledProgram } from './compiled.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/**
 * Images flow through buffers outside V8's heap, and V8 answers by collecting the whole heap again and again: with its
 * defaults 35 % of a transfer's processor time. A larger first limit and no helper threads (they compete for the few
 * cores that a hospital's machine has) raise a sealed transfer from 30 to above 40 MB/s on two cores. The Dockerfile
 * says the same.
 */
export const serviceNodeOptions = ['--single-threaded-gc', '--initial-old-space-size=512']

export interface ServiceSettings {
  name: string
  /** TypeScript file of the service, relative to the repository. */
  main: string
  args: string[]
  logFile: string
  healthUrl: string
  /** Words before the program when it runs elsewhere on this machine, e.g. `ip netns exec hospital-a`. */
  launcher?: readonly string[] | undefined
}

/** One process of the region: started, seen healthy, stopped or killed, started again. Its output goes to a log file. */
export class ServiceProcess {
  readonly settings: ServiceSettings
  #child: ChildProcess | undefined
  /** Called when the process ends although nobody stopped it. */
  onUnexpectedEnd: (code: number | null) => void = () => {}

  constructor(settings: ServiceSettings) {
    this.settings = settings
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** @throws when the process ends or is not healthy in time; the message holds the end of its log. */
  async start(timeoutMs = 60_000): Promise<void> {
    // Services on machines of their own run the sources by tsx, as a hospital's do; so that way is walked by a scenario, too.
    const code = this.settings.launcher ? ['--import', 'tsx', join(root, this.settings.main)] : ['--enable-source-maps', await compiledProgram(this.settings.main)]
    mkdirSync(dirname(this.settings.logFile), { recursive: true })
    const log = openSync(this.settings.logFile, 'a')
    const [program, ...args] = [...(this.settings.launcher ?? []), process.execPath, ...serviceNodeOptions, ...code, ...this.settings.args] as [string, ...string[]]
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', log, log], env: { ...process.env, NODE_NO_WARNINGS: '1' } })
    closeSync(log)
    this.#child = child
    child.once('exit', (code) => {
      if (this.#child === child) {
        this.#child = undefined
        this.onUnexpectedEnd(code)
      }
    })
    const deadline = Date.now() + timeoutMs
    while (Date.now() < deadline) {
      if (!this.isRunning) throw new Error(`${this.settings.name} 启动失败 failed to start:\n${this.logTail()}`)
      if (await isHealthy(this.settings.healthUrl)) return
      await sleep(120)
    }
    await this.kill()
    throw new Error(`${this.settings.name} ${timeoutMs} ms 内未就绪 was not healthy in time:\n${this.logTail()}`)
  }

  /** SIGTERM, and after the grace period SIGKILL. */
  async stop(graceMs = 10_000): Promise<void> {
    await this.#end('SIGTERM', graceMs)
  }

  /** SIGKILL, as a power cut would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', 5_000)
  }

  async #end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    await ended
    clearTimeout(timer)
  }

  logTail(lines = 25): string {
    if (!existsSync(this.settings.logFile)) return ''
    return readFileSync(this.settings.logFile, 'utf8').trim().split('\n').slice(-lines).join('\n')
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    return response.ok
  } catch {
    // Not listening yet; the caller asks again until its deadline.
    return false
  }
}
