import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A PostgreSQL server of one test, on a free port of the loopback, its data in a temporary folder. */
export interface TestPostgres {
  /** Of a new, empty database. */
  newDatabase(): Promise<string>
  readonly url: string
  /** Ends it without warning, as a power cut would. */
  kill(): Promise<void>
  /** Starts it again on the same data after kill(). */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Starts a throw-away cluster. PostgreSQL refuses to run as root, so root hands it to the user `postgres` of the package. */
export async function startPostgres(): Promise<TestPostgres> {
  const bin = await binaries()
  const folder = await mkdtemp(join(tmpdir(), 'lianpian-postgres-'))
  const password = randomBytes(12).toString('hex')
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password)
  const owner = await unprivilegedUser()
  if (owner) {
    await chown(folder, owner.uid, owner.gid)
    await chown(passwordFile, owner.uid, owner.gid)
    await chmod(folder, 0o700)
  }
  const data = join(folder, 'data')
  const as = {
    ...(owner && { uid: owner.uid, gid: owner.gid }),
    cwd: folder,
    env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', HOME: folder },
  }
  await run(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'lianpian', '--pwfile', passwordFile, '-A', 'scram-sha-256', '-E', 'UTF8', '--no-sync'],
    as,
  )
  const port = await freePort()
  const url = `postgres://lianpian:${password}@127.0.0.1:${port}`
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    max_connections: '60',
    shared_buffers: '32MB',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let server = await start()

  async function start(): Promise<ChildProcess> {
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...options], { ...as, stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    child.stderr?.on('data', (chunk) => (log = (log + String(chunk)).slice(-4_000)))
    for (let waited = 0; waited < 30_000; waited += 50) {
      if (child.exitCode !== null) break
      if (await isReady(bin, port)) return child
      await delay(50)
    }
    child.kill('SIGKILL')
    throw new Error(`PostgreSQL did not start:\n${log}`)
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return
    const ended = new Promise((done) => server.once('exit', done))
    server.kill(signal)
    await ended
  }

  let databases = 0
  return {
    url: `${url}/postgres`,
    async newDatabase() {
      const name = `test_${++databases}`
      await run(join(bin, 'createdb'), ['-h', '127.0.0.1', '-p', String(port), '-U', 'lianpian', name], {
        env: { ...as.env, PGPASSWORD: password },
      })
      return `${url}/${name}`
    },
    kill: () => end('SIGQUIT'), // immediate shutdown: no checkpoint, recovery at the next start
    async restart() {
      server = await start()
    },
    async stop() {
      await end('SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Debian keeps the programs of each version apart; elsewhere they are on PATH. */
async function binaries(): Promise<string> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => [])
  const newest = versions.map(Number).sort((a, b) => b - a)[0]
  if (newest !== undefined) return `/usr/lib/postgresql/${newest}/bin`
  try {
    const { stdout } = await run('pg_config', ['--bindir'])
    return stdout.trim()
  } catch (cause) {
    throw new Error('PostgreSQL is not installed; these tests need it (Debian: apt-get install postgresql)', { cause })
  }
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (what) => Number((await run('id', [what, 'postgres'])).stdout)))
  if (uid === undefined || gid === undefined) throw new Error('there is no user postgres')
  return { uid, gid }
}

async function isReady(bin: string, port: number): Promise<boolean> {
  try {
    await run(join(bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)])
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'number') return false // its answer "not yet"
    throw error
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => probe.once('listening', done))
  const { port } = probe.address() as AddressInfo
  await new Promise((done) => probe.close(done))
  return port
}
