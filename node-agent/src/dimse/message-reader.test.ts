import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { commandFields, DATASET_FOLLOWS, encodeCommandSet, NO_DATASET } from './command-set.ts'
import { MessageReader } from './message-reader.ts'
import { type Fragment } from './pdu-splitter.ts'

const echo = encodeCommandSet({ commandField: commandFields.cEcho, messageId: 1, commandDataSetType: NO_DATASET })
const store = encodeCommandSet({ commandField: commandFields.cStore, messageId: 2, commandDataSetType: DATASET_FOLLOWS })
const fragment = (changes: Partial<Fragment>): Fragment => ({
  kind: 'fragment',
  contextId: 1,
  isCommand: true,
  last: true,
  data: echo,
  ...changes,
})
const fault = (text: string) => expect.objectContaining({ code: 'dimse/protocol', facts: expect.objectContaining({ fault: text }) })

describe('joining fragments to messages', () => {
  it('gives a command when its last piece is there', () => {
    const reader = new MessageReader()
    expect(reader.take(fragment({ data: echo.subarray(0, 10), last: false }))).toBeUndefined()
    expect(reader.isInsideMessage).toBe(true)
    expect(reader.take(fragment({ data: echo.subarray(10) }))).toMatchObject({
      kind: 'command',
      command: { commandField: commandFields.cEcho },
    })
    expect(reader.isInsideMessage).toBe(false)
  })

  it('passes a data set on piece by piece', () => {
    const reader = new MessageReader()
    reader.take(fragment({ data: store }))
    expect(reader.take(fragment({ isCommand: false, last: false, data: Buffer.from('ab') }))).toMatchObject({
      kind: 'dataset',
      last: false,
    })
    expect(reader.take(fragment({ isCommand: false, data: Buffer.from('cd') }))).toMatchObject({ kind: 'dataset', last: true })
    expect(reader.isInsideMessage).toBe(false)
  })

  it('refuses a data set that no command announced', () => {
    expect(() => new MessageReader().take(fragment({ isCommand: false }))).toThrowError(fault('data set without a command'))
  })

  it('refuses a command while a data set is owed', () => {
    const reader = new MessageReader()
    reader.take(fragment({ data: store }))
    expect(() => reader.take(fragment({}))).toThrowError(fault('command inside a data set'))
  })

  it('refuses a message that changes its presentation context', () => {
    const reader = new MessageReader()
    reader.take(fragment({ data: store }))
    expect(() => reader.take(fragment({ isCommand: false, contextId: 3 }))).toThrowError(fault('message changes its presentation context'))
  })

  it('refuses a command set that does not end', () => {
    const reader = new MessageReader()
    const endless = () => {
      for (let piece = 0; piece < 100; piece++) reader.take(fragment({ data: Buffer.alloc(1024), last: false }))
    }
    expect(endless).toThrowError(fault('command set too long'))
  })
})
