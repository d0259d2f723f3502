import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { createLog } from 'service-kit'
import { afterEach, describe, expect, it } from 'vitest'
import { AssociationSlots } from './association-slots.ts'
import { Listener } from './listener.ts'

const logged: string[] = []
const log = createLog({ name: 'dimse', level: 'warn' }, { write: (line) => logged.push(line) })
let listener: Listener | undefined
afterEach(() => listener?.close())

const start = (states: string[], make: () => Server = createServer) =>
  Listener.start(make, { host: '127.0.0.1', port: 0, log, againMs: 20, onState: (state) => states.push(state) })

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const how = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false)
  socket.destroy()
  return how
}
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && !condition(); tries++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(condition()).toBe(true)
}

describe('the DICOM port', () => {
  // ARC-06
  it('is taken again when something closes it, and the log says so', async () => {
    const states: string[] = []
    listener = await start(states)
    const { port } = listener
    listener.server.close()
    await until(() => states.includes('back'))
    expect([states, listener.port, await answers(port)]).toEqual([['lost', 'back'], port, true])
    expect(logged.join('')).toMatch(/closed by something else[\s\S]*listens again/)
  })

  it('is taken again although an association is still open on it', async () => {
    const states: string[] = []
    let accepted = 0
    listener = await start(states, () => createServer((socket) => (accepted++, socket.on('error', () => undefined))))
    const client = connect(listener.port, '127.0.0.1')
    await until(() => accepted === 1)
    listener.server.close() // 'close' comes only when the client has gone
    await until(() => states.includes('back'))
    expect(client.destroyed).toBe(false)
    expect(await answers(listener.port)).toBe(true)
    client.destroy()
  })

  it('survives that one connection cannot be taken', async () => {
    const states: string[] = []
    listener = await start(states)
    listener.server.emit('error', Object.assign(new Error('too many open files'), { code: 'EMFILE' }))
    expect(await answers(listener.port)).toBe(true)
    expect(states).toEqual([])
  })

  it('waits for its port as long as another program has it', async () => {
    const states: string[] = []
    listener = await start(states)
    const { port } = listener
    await new Promise<void>((resolve) => listener?.server.close(() => resolve()))
    const squatter = createServer().listen(port, '127.0.0.1')
    await once(squatter, 'listening')
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(states).toEqual(['lost'])
    squatter.close()
    await until(() => states.includes('back'))
  })

  it('stays closed when we close it', async () => {
    const states: string[] = []
    listener = await start(states)
    const { port } = listener
    await listener.close()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect([states, await answers(port)]).toEqual([[], false])
    listener = undefined
  })

  it('that is taken from the beginning is an error which names setting and port', async () => {
    const states: string[] = []
    listener = await start(states)
    await expect(Listener.start(createServer, { host: '127.0.0.1', port: listener.port, setting: 'dimse.port', log })).rejects.toThrow(new RegExp(`${listener.port}.*dimse\\.port`, 's'))
  })
})

describe('places for associations', () => {
  it('are counted over the house and for each device, and given back once', () => {
    const slots = new AssociationSlots({ open: { set: () => undefined } as never })
    const limits = { all: 3, ofCaller: 2 }
    const [first, second] = [slots.take('CT01', limits), slots.take('CT01', limits)]
    expect(slots.take('CT01', limits)).toBeUndefined()
    expect(slots.take('MR01', { all: 3, ofCaller: undefined })).toBeDefined()
    expect(slots.take('US01', { all: 3, ofCaller: undefined })).toBeUndefined()
    first?.()
    first?.()
    expect(slots.open).toBe(2)
    expect(slots.take('CT01', limits)).toBeDefined()
    second?.()
    expect(slots.open).toBe(2)
  })
})
