import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createLog } from '../log/index.ts'
import { createShutdown } from './index.ts'

function aProcess(deadlineMs?: number) {
  const logged: Record<string, unknown>[] = []
  const exits: (number | string | null | undefined)[] = []
  const events = new EventEmitter()
  const host = {
    on: events.on.bind(events),
    off: events.off.bind(events),
    exit: (code?: number | string | null) => {
      exits.push(code)
    },
  } as unknown as NodeJS.Process
  const log = createLog({ name: 'test' }, { write: (line) => logged.push(JSON.parse(line) as Record<string, unknown>) })
  const shutdown = createShutdown({ log, host, ...(deadlineMs !== undefined && { deadlineMs }) })
  return { shutdown, events, exits, logged }
}

describe('ending a service', () => {
  it('stops the last part first, each after the other, also when one fails', async () => {
    const { shutdown, events, exits, logged } = aProcess()
    const stopped: string[] = []
    shutdown.onStop('database', () => void stopped.push('database'))
    shutdown.onStop('link', () => Promise.reject(new Error('line broke')))
    shutdown.onStop('http', async () => {
      await delay(20)
      stopped.push('http')
    })
    events.emit('SIGTERM')
    expect(shutdown.signal.aborted).toBe(true)
    await expect.poll(() => exits).toEqual([1])
    expect(stopped).toEqual(['http', 'database'])
    expect(logged).toContainEqual(expect.objectContaining({ msg: 'could not stop cleanly', part: 'link' }))
  })

  it('does not wait beyond the deadline for a part that hangs, and names it', async () => {
    const { shutdown, exits, logged } = aProcess(30)
    shutdown.onStop('stuck', () => new Promise(() => {}))
    void shutdown.stop('test')
    await expect.poll(() => exits).toEqual([1])
    expect(logged).toContainEqual(expect.objectContaining({ level: 'error', waitingFor: 'stuck' }))
  })

  it('takes the second signal of one Ctrl-C as the same', async () => {
    const { shutdown, events, exits } = aProcess()
    const stopped: string[] = []
    shutdown.onStop('slow', async () => {
      await delay(30)
      stopped.push('slow')
    })
    events.emit('SIGINT')
    events.emit('SIGTERM')
    await expect.poll(() => exits).toEqual([0])
    expect(stopped).toEqual(['slow'])
  })

  it('logs a rejection that nobody awaited and goes on, but ends after an exception that nobody caught', async () => {
    const { events, exits, logged } = aProcess()
    events.emit('unhandledRejection', new Error('lost'))
    expect(exits).toEqual([])
    expect(logged).toContainEqual(
      expect.objectContaining({ msg: 'unhandled rejection', err: expect.objectContaining({ message: 'lost' }) }),
    )
    events.emit('uncaughtException', new Error('bug'))
    await expect.poll(() => exits).toEqual([1])
  })

  it('works in a real process', async () => {
    const script = fileURLToPath(new URL('../../tests/support/stoppable.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk) => (output += String(chunk)))
    await expect.poll(() => output, { timeout: 10_000 }).toContain('ready')
    child.kill('SIGTERM')
    const code = await new Promise((done) => child.once('exit', done))
    expect(code).toBe(0)
    expect(output).toMatch(/hook ran[^]*"stopped"/)
  })
})
