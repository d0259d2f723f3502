import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { describe, expect, it } from 'vitest'
import { ReceivingObject } from './c-store.ts'
import { type CommandSet, commandFields, DATASET_FOLLOWS } from './command-set.ts'
import { type AcceptedContext } from './negotiation.ts'
import { type ObjectWriter, type StorageSink } from './services.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const context: AcceptedContext = { id: 1, abstractSyntaxUid: CT, kind: 'storage', transferSyntaxUid: '1.2.840.10008.1.2.1' }
const sender = { callingAeTitle: 'CT01', remoteAddress: '10.0.0.9' }
const command = (changes: Partial<CommandSet> = {}): CommandSet => ({
  commandField: commandFields.cStore,
  commandDataSetType: DATASET_FOLLOWS,
  messageId: 1,
  affectedSopClassUid: CT,
  affectedSopInstanceUid: '1.2.3',
  ...changes,
})

/** A disk that is as slow, or as full, as the test says. */
function aSink(behaviour: Partial<ObjectWriter & { begin: StorageSink['begin'] }> = {}) {
  const log: string[] = []
  const written: Buffer[] = []
  const sink: StorageSink = {
    begin: async (object) => {
      await behaviour.begin?.(object)
      log.push(`begin ${object.sopInstanceUid}`)
      return {
        write: async (chunk) => {
          await behaviour.write?.(chunk)
          written.push(Buffer.from(chunk))
        },
        commit: async () => {
          await behaviour.commit?.()
          log.push('commit')
        },
        abort: async () => void log.push('abort'),
      }
    },
  }
  return { sink, log, written: () => Buffer.concat(written) }
}

describe('receiving an object', () => {
  // FED-21, ARC-09
  it('writes what was sent, in order, and answers success after the commit alone', async () => {
    const { sink, log, written } = aSink()
    const object = new ReceivingObject(command(), context, sender, sink)
    const pieces = Array.from({ length: 50 }, (_, index) => Buffer.alloc(16_000, index))
    for (const piece of pieces) await object.take(piece)
    expect(log).toEqual(['begin 1.2.3'])
    expect(await object.commit()).toEqual({ answer: { status: 0x0000 } })
    expect(log).toEqual(['begin 1.2.3', 'commit'])
    expect(written().equals(Buffer.concat(pieces))).toBe(true)
  })

  it('holds the sender back while the disk is a write behind', async () => {
    let release = () => {}
    const slow = new Promise<void>((resolve) => (release = resolve))
    const { sink } = aSink({ write: () => slow })
    const object = new ReceivingObject(command(), context, sender, sink)
    const large = Buffer.alloc(300_000)
    await object.take(large)
    const held = object.take(large)
    expect(held).toBeInstanceOf(Promise)
    const order: string[] = []
    const waited = held?.then(() => order.push('went on'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    order.push('disk ready')
    release()
    await waited
    expect(order).toEqual(['disk ready', 'went on'])
  })

  it('tells the reason of a full disk, keeps nothing and reads the rest of the data set', async () => {
    const { sink, log } = aSink({ write: () => Promise.reject(new Problem('archive/out-of-space', { freeBytes: 1 })) })
    const object = new ReceivingObject(command(), context, sender, sink)
    for (let piece = 0; piece < 10; piece++) await object.take(Buffer.alloc(300_000))
    const { answer } = await object.commit()
    expect(answer).toMatchObject({ status: 0xa700 })
    expect(log).toEqual(['begin 1.2.3', 'abort'])
  })

  it('answers a commit that fails with its status, and an unexpected fault with 0x0110', async () => {
    const mismatch = new ReceivingObject(
      command(),
      context,
      sender,
      aSink({ commit: () => Promise.reject(new Problem('archive/uid-mismatch')) }).sink,
    )
    expect((await mismatch.commit()).answer.status).toBe(0xa900)
    const bug = new ReceivingObject(command(), context, sender, aSink({ commit: () => Promise.reject(new TypeError('x')) }).sink)
    expect((await bug.commit()).answer).toEqual({ status: 0x0110 })
  })

  it('keeps nothing of an object whose data set breaks off', async () => {
    const { sink, log } = aSink()
    const object = new ReceivingObject(command(), context, sender, sink)
    await object.take(Buffer.alloc(300_000))
    await object.abandon()
    expect(log).toEqual(['begin 1.2.3', 'abort'])
  })

  it.each(['../../etc/passwd', '', '1..2', '1.2/3', 'a'.repeat(65)])(
    'refuses %j as a UID before anything is written',
    async (affectedSopInstanceUid) => {
      const { sink, log } = aSink()
      const { answer } = await new ReceivingObject(command({ affectedSopInstanceUid }), context, sender, sink).commit()
      expect(answer.status).toBe(0xc000)
      expect(log).toEqual([])
    },
  )

  it('refuses an object in a context that is not for storage', async () => {
    const { answer } = await new ReceivingObject(command(), { ...context, kind: 'query' }, sender, aSink().sink).commit()
    expect(answer.status).toBe(0x0122)
  })
})
