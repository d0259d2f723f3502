import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { promisify } from 'node:util'
import { compiledProgram } from '../../scripts/region/compiled.ts'
import { cpuSecondsOf } from './process-figures.ts'

export interface Sent {
  readonly seconds: number
  /** Processor time of the senders themselves, where it can be told. */
  readonly cpuSeconds?: number
}

const execute = promisify(execFile)

/** One `storescu` process for each folder. It waits between objects by itself, and its processor time is taken from whoever receives on the same machine. */
export async function sendByStorescu(folders: readonly string[], { port, aeTitle }: { port: number; aeTitle: string }): Promise<Sent> {
  const started = performance.now()
  await Promise.all(folders.map((folder) => execute('storescu', ['+sd', '-aec', aeTitle, '127.0.0.1', String(port), folder], { maxBuffer: 1 << 24 })))
  return { seconds: (performance.now() - started) / 1000 }
}

/** One process with an association for each folder, that waits for nothing but answers (light-sender.ts). */
export async function sendLightly(folders: readonly string[], { port, aeTitle }: { port: number; aeTitle: string }): Promise<Sent> {
  const program = await compiledProgram('bench/support/light-sender.ts')
  const child = spawn(process.execPath, ['--single-threaded-gc', program, String(port), aeTitle, ...folders], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), ended])
  const before = cpuSecondsOf(child.pid!)
  const started = performance.now()
  let cpuSeconds = 0
  const watch = setInterval(() => {
    try {
      cpuSeconds = cpuSecondsOf(child.pid!) - before
    } catch {
      // ended
    }
  }, 50)
  child.stdin.write('go\n')
  const [code] = (await ended) as [number | null]
  const seconds = (performance.now() - started) / 1000
  clearInterval(watch)
  if (code !== 0) throw new Error('the sender did not get everything across')
  return { seconds, cpuSeconds }
}
