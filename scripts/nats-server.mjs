// Where nats-server comes from and how it is started. Plain Node without packages: it runs before anything is installed.
import { execFile, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Debian puts servers into sbin, which is not on everybody's PATH. */
const usualFolders = ['/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/opt/homebrew/bin', '/snap/bin']

/** Package managers that carry nats-server, with the commands that install it without questions. */
const packageManagers = [
  {
    program: 'apt-get',
    needsRoot: true,
    commands: [
      ['apt-get', 'update', '-q'],
      ['apt-get', 'install', '-y', '-q', '--no-install-recommends', 'nats-server'],
    ],
  },
  { program: 'dnf', needsRoot: true, commands: [['dnf', 'install', '-y', '-q', 'nats-server']] },
  { program: 'apk', needsRoot: true, commands: [['apk', 'add', '--quiet', 'nats-server']] },
  { program: 'brew', needsRoot: false, commands: [['brew', 'install', '--quiet', 'nats-server']] },
]

const whatToDo =
  '缺少 nats-server，且无法自动安装：请从 https://nats.io/download 获取 2.9 以上版本并放入 PATH，然后重试。\n' +
  'nats-server is missing and could not be installed: get version 2.9 or later from https://nats.io/download, put it on the PATH, and try again.'

/**
 * The nats-server to use: from PATH, else installed by the system's package manager.
 * @param {{ say?: (sentence: string) => void }} [options] `say` hears what is being done.
 * @returns {Promise<string>} path of the program
 */
export async function ensureNatsServer({ say = () => {} } = {}) {
  const found = await which('nats-server')
  if (found) return found
  for (const manager of packageManagers) {
    if (!(await which(manager.program))) continue
    const prefix = await rootPrefix(manager.needsRoot)
    if (!prefix) break
    say(`正在用 ${manager.program} 安装 nats-server … / installing nats-server with ${manager.program} …`)
    try {
      for (const command of manager.commands) await execute([...prefix, ...command])
    } catch (error) {
      throw new Error(`${whatToDo}\n(${manager.program}: ${lastLine(error)})`, { cause: error })
    }
    const installed = await which('nats-server')
    if (installed) return installed
  }
  throw new Error(whatToDo)
}

/**
 * @param {string} path
 * @returns {Promise<string>} e.g. `2.9.10`
 */
export async function natsServerVersion(path) {
  const { stdout } = await run(path, ['--version'])
  const version = /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  if (!version) throw new Error(`${path} --version: ${stdout.trim()}`)
  return version
}

/**
 * Starts nats-server and waits until it takes connections.
 * @param {{ path: string, configFile: string, timeoutMs?: number, launcher?: readonly string[] }} options `launcher`: words before the program
 * @returns {Promise<import('node:child_process').ChildProcess>} the caller ends it with SIGTERM
 */
export function startNatsServer({ path, configFile, timeoutMs = 15_000, launcher = [] }) {
  const [program, ...args] = [...launcher, path, '-c', configFile]
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  return new Promise((resolve, reject) => {
    let said = ''
    const fail = (/** @type {string} */ sentence) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(sentence))
    }
    const timer = setTimeout(() => fail(`nats-server was not ready within ${timeoutMs} ms:\n${tail(said)}`), timeoutMs)
    child.once('error', (error) => fail(`nats-server: ${error.message}`))
    child.once('exit', (code) => fail(explain(said) ?? `nats-server ended with code ${code}:\n${tail(said)}`))
    child.stderr.setEncoding('utf8')
    child.stderr.on('data', (text) => {
      // Goes on being read after the start: a full pipe would stop the server.
      said = (said + text).slice(-20_000)
      if (!said.includes('Server is ready')) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      child.removeAllListeners('error')
      child.stderr.removeAllListeners('data')
      child.stderr.resume()
      resolve(child)
    })
  })
}

/** @param {string} said */
function explain(said) {
  const taken = /Error listening on port: ([^,]+),.*address already in use/.exec(said)?.[1]
  if (!taken) return undefined
  return `NATS 端口 ${taken} 已被占用，请更换端口或停止占用它的程序。\nThe NATS port ${taken} is already in use: choose another or stop the program that holds it.`
}

/** @param {string} program */
async function which(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...usualFolders].filter(Boolean)
  for (const folder of folders) {
    const path = join(folder, process.platform === 'win32' ? `${program}.exe` : program)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      continue // not in this folder
    }
  }
  return undefined
}

/** Words to put before a command that needs root, or undefined when this user cannot become root unasked. */
async function rootPrefix(/** @type {boolean} */ needsRoot) {
  if (!needsRoot || process.getuid?.() === 0) return []
  try {
    await run('sudo', ['-n', 'true'])
    return ['sudo', '-n']
  } catch {
    return undefined // no sudo, or it asks for a password
  }
}

/** @param {string[]} command */
function execute([program, ...args]) {
  return run(program, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, maxBuffer: 64 * 1024 * 1024 })
}

const tail = (/** @type {string} */ text) => text.trim().split('\n').slice(-5).join('\n')
const lastLine = (/** @type {unknown} */ error) =>
  String(error instanceof Error ? error.message : error)
    .trim()
    .split('\n')
    .at(-1)
