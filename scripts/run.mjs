// Running other programs from the scripts: output passed through, a failing exit code told as an error.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')

export function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program)).find((file) => existsSync(file))
}

/** @returns {Promise<number>} the exit code; never rejects for a failing program */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', ...options })
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal ? 128 : 1)))
  })
}

/** Runs a program of node_modules with this Node. */
export function runNode(args, options) {
  return run(process.execPath, args, options)
}

export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  console.error(`需要 Node.js ≥ 20.19，当前为 ${process.versions.node}。 Node.js ≥ 20.19 is needed, this is ${process.versions.node}.`)
  process.exit(1)
}

/** npm packages as the lock file says; quick when nothing changed since the last time. */
export async function ensurePackages() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).update(process.version).digest('hex')
  const mark = join(root, 'node_modules', '.lianpian-lock')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  console.log('安装 npm 依赖（首次需要几分钟，sqlite3 会在本机编译）… Installing npm packages')
  if (!existsSync(join(root, 'node_modules', 'sqlite3'))) await ensureCompiler()
  // Not `npm ci`: it insists on lock entries for the optional binaries of every platform, which a mirror that lacks them
  // cannot give. Versions come from the lock file all the same.
  const code = await run('npm', ['install', '--no-save', '--no-audit', '--no-fund'], { shell: process.platform === 'win32' })
  if (code !== 0) throw new Error('npm install 失败，见上方输出。 npm install failed, see above.')
  mkdirSync(dirname(mark), { recursive: true })
  writeFileSync(mark, lock)
}

// sqlite3 compiles itself where no prebuilt binary can be fetched.
async function ensureCompiler() {
  const missing = ['python3', 'make', 'g++'].filter((program) => !onPath(program))
  if (missing.length > 0) await ensureSystemPackages({ programs: missing, apt: ['python3', 'make', 'g++'] })
}

/**
 * Installs what is missing by the system's package manager.
 * @param {{ programs?: string[], files?: string[], apt: string[] }} wanted programs on PATH and files that must exist afterwards
 */
export async function ensureSystemPackages({ programs = [], files = [], apt }) {
  const absent = () => [...programs.filter((program) => !onPath(program)), ...files.filter((file) => !existsSync(file))]
  if (absent().length === 0) return
  const hint = `请安装 Please install: ${apt.join(' ')} (缺少 missing: ${absent().join(', ')})`
  if (!onPath('apt-get')) throw new Error(hint)
  const sudo = process.getuid?.() === 0 ? [] : onPath('sudo') ? ['sudo', '-n'] : undefined
  if (!sudo) throw new Error(hint)
  console.log(`安装系统软件包 Installing system packages: ${apt.join(' ')}`)
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  const call = (...args) => run([...sudo, 'apt-get', ...args][0], [...sudo, 'apt-get', ...args].slice(1), quiet)
  await call('update', '-qq')
  await call('install', '-y', '-qq', '--no-install-recommends', ...apt)
  if (absent().length > 0) throw new Error(hint)
}
