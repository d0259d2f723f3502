import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Line } from '../line.ts'

const execute = promisify(execFile)
const script = (name: string) => fileURLToPath(new URL(`${name}.mjs`, import.meta.url))

export interface Scan {
  /** Ports that took the connection. */
  open: number[]
  /** How many answered that nobody listens. */
  closed: number
  /** How many gave no answer. */
  silent: number
}

/** A computer with networks of its own: a Linux network namespace. */
export class Host {
  readonly name: string
  /** Words before a program that make it run on this computer. */
  readonly launcher: readonly string[]
  readonly #namespace: string

  constructor(name: string, namespace: string) {
    this.name = name
    this.#namespace = namespace
    this.launcher = ['ip', 'netns', 'exec', namespace]
  }

  get namespace(): string {
    return this.#namespace
  }

  /** @returns what it wrote to standard output. @throws when it fails. */
  async run(program: string, ...args: string[]): Promise<string> {
    const [first, ...rest] = [...this.launcher, program, ...args] as [string, ...string[]]
    return (await execute(first, rest, { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 })).stdout
  }

  ip(...words: string[]): Promise<unknown> {
    return execute('ip', ['-n', this.#namespace, ...words])
  }

  /** Whether it passes packets on between its interfaces. */
  async forward(on: boolean): Promise<void> {
    await this.run('sh', '-c', `echo ${on ? 1 : 0} > /proc/sys/net/ipv4/ip_forward`)
  }

  /** Filter rules in nft's language. */
  async rules(text: string): Promise<void> {
    const child = execute('ip', [...this.launcher.slice(1), 'nft', '-f', '-'])
    child.child.stdin?.end(text)
    await child
  }

  /** Tries to open connections from here to ports of an address, given as `104` or `1-65535`. */
  async scan(address: string, ...ranges: string[]): Promise<Scan> {
    return JSON.parse(await this.run(process.execPath, script('scan'), address, ...ranges)) as Scan
  }
}

/**
 * Separate networks on one machine, for tests that must not believe that everybody can reach everybody. They live in
 * namespaces only: no interface, address or route of the machine itself is touched, so nothing can collide with its own.
 */
export class Networks {
  /** Only what bears a dead process' number is swept away: another run may be under way. */
  readonly #prefix = `lianpian-${process.pid}-`
  readonly #hosts: Host[] = []
  readonly #children: ChildProcess[] = []
  readonly #lines: Line[] = []
  readonly #sockets = mkdtempSync(join(tmpdir(), 'lianpian-networks-'))

  /** @throws An error that says what is missing where namespaces cannot be made. */
  static async open(): Promise<Networks> {
    await sweep()
    return new Networks()
  }

  async host(name: string): Promise<Host> {
    const host = new Host(name, this.#prefix + name)
    try {
      await execute('ip', ['netns', 'add', host.namespace])
    } catch (cause) {
      throw new Error('This test needs real separate networks: `ip netns add` must work (Linux, iproute2, root with CAP_NET_ADMIN and CAP_SYS_ADMIN).', { cause })
    }
    this.#hosts.push(host)
    await host.ip('link', 'set', 'lo', 'up')
    // A new namespace inherits the machine's settings, and a machine with containers forwards.
    await host.forward(false)
    return host
  }

  /** A computer that passes packets on. */
  async router(name: string): Promise<Host> {
    const router = await this.host(name)
    await router.forward(true)
    return router
  }

  /** A cable between two computers. Without an address the end is part of a switch. */
  async cable(...[[a, nameAtA, addressAtA], [b, nameAtB, addressAtB]]: [End, End]): Promise<void> {
    await a.ip('link', 'add', nameAtA, 'type', 'veth', 'peer', 'name', nameAtB, 'netns', b.namespace)
    for (const [host, name, address] of [[a, nameAtA, addressAtA], [b, nameAtB, addressAtB]] as const) {
      if (address !== undefined) await host.ip('address', 'add', address, 'dev', name)
      await host.ip('link', 'set', name, 'up')
    }
  }

  /** A switch inside `within`, with a cable to each computer. `address` makes `within` itself reachable on it. */
  async switch(within: Host, ends: End[], address?: string): Promise<void> {
    await within.ip('link', 'add', 'lan', 'type', 'bridge')
    if (address !== undefined) await within.ip('address', 'add', address, 'dev', 'lan')
    await within.ip('link', 'set', 'lan', 'up')
    for (const end of ends) {
      const port = `to-${end[0].name}`.slice(0, 15)
      await this.cable([within, port], end)
      await within.ip('link', 'set', port, 'master', 'lan')
    }
  }

  /** Starts a program and waits until it writes "ready". It ends with the networks. */
  async start(host: Host, program: string, ...args: string[]): Promise<void> {
    const child = this.#spawn(host, program, args)
    await Promise.race([
      once(child.stdout!, 'data'),
      once(child, 'exit').then(() => {
        throw new Error(`${program} ${args.join(' ')} ended at ${host.name}`)
      }),
    ])
  }

  /** Starts a program that says nothing. It ends with the networks. */
  launch(host: Host, program: string, ...args: string[]): void {
    this.#spawn(host, program, args).stdout?.resume()
  }

  /** Takes connections at `host` as a database or an HL7 receiver would. */
  listen(host: Host, ...ports: number[]): Promise<void> {
    return this.start(host, process.execPath, script('listen'), ...ports.map(String))
  }

  /** @returns a URL for this test that leads, by way of `from`, to an HTTP service of its networks: as if we sat there. */
  async seat(from: Host, address: string, port: number): Promise<string> {
    const path = join(this.#sockets, `${from.name}-${this.#lines.length}`)
    await this.start(from, process.execPath, script('relay'), path, address, String(port))
    const line = await Line.open({ path })
    this.#lines.push(line)
    return `http://127.0.0.1:${line.port}`
  }

  async close(): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.close()))
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    for (const { namespace } of this.#hosts) await remove(namespace)
    rmSync(this.#sockets, { recursive: true, force: true })
  }

  #spawn(host: Host, program: string, args: string[]): ChildProcess {
    const [first, ...rest] = [...host.launcher, program, ...args] as [string, ...string[]]
    const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.push(child)
    return child
  }
}

/** Computer, name of its interface, address with prefix length. */
export type End = [host: Host, name: string, address?: string]

/** What a run left behind that was killed: its namespaces and whatever still runs in them. */
async function sweep(): Promise<void> {
  const { stdout } = await execute('ip', ['netns', 'list']).catch((cause: unknown) => {
    throw new Error('This test needs real separate networks: the program `ip` (iproute2, Linux) does not work here.', { cause })
  })
  for (const line of stdout.split('\n')) {
    const [, namespace, pid] = /^(lianpian-(\d+)-\S+)/.exec(line) ?? []
    if (namespace !== undefined && !existsSync(`/proc/${pid}`)) await remove(namespace)
  }
}

async function remove(namespace: string): Promise<void> {
  const { stdout } = await execute('ip', ['netns', 'pids', namespace])
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has ended by itself
    }
  }
  await execute('ip', ['netns', 'delete', namespace])
}
