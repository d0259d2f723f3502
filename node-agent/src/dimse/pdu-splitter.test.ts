import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { encodePdu, type Pdu } from './pdu.ts'
import { type Arrival, PduSplitter } from './pdu-splitter.ts'

const limits = { maxPduBytes: 4096, maxAssociateBytes: 64 * 1024 }

/** Everything that comes out of `stream` when it arrives in pieces that end at `cuts`. */
function split(stream: Buffer, cuts: readonly number[] = []): Arrival[] {
  const splitter = new PduSplitter(limits)
  const arrivals: Arrival[] = []
  const ends = [...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length]
  let start = 0
  for (const end of ends) {
    splitter.feed(stream.subarray(start, end))
    for (let arrival = splitter.next(); arrival; arrival = splitter.next()) arrivals.push(arrival)
    start = end
  }
  return arrivals
}

/** The same with the pieces of each value put together again. */
function joined(arrivals: readonly Arrival[]): unknown[] {
  const result: unknown[] = []
  let data = ''
  for (const arrival of arrivals) {
    if (arrival.kind === 'pdu') result.push(arrival.pdu.type)
    else {
      data += arrival.data.toString('hex')
      if (!arrival.last) continue
      result.push([arrival.contextId, arrival.isCommand, data])
      data = ''
    }
  }
  return result
}

const data = (length: number, fill: number) => Buffer.alloc(length, fill)
const messages: Pdu[] = [
  { type: 'P-DATA-TF', values: [{ contextId: 1, isCommand: true, last: true, data: data(100, 1) }] },
  {
    type: 'P-DATA-TF',
    values: [
      { contextId: 1, isCommand: false, last: false, data: data(3000, 2) },
      { contextId: 1, isCommand: false, last: true, data: data(10, 3) },
    ],
  },
  { type: 'P-DATA-TF', values: [{ contextId: 3, isCommand: false, last: true, data: data(0, 0) }] },
  { type: 'A-RELEASE-RQ' },
]
const stream = Buffer.concat(messages.map(encodePdu))

describe('cutting PDUs out of a stream', () => {
  it('gives the same wherever the chunks end', () => {
    const whole = joined(split(stream))
    expect(whole).toHaveLength(4)
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (cuts) => void expect(joined(split(stream, cuts))).toEqual(whole)),
      { numRuns: 200 },
    )
    expect(
      joined(
        split(
          stream,
          Array.from({ length: stream.length }, (_, at) => at),
        ),
      ),
    ).toEqual(whole)
  })

  it('passes data on before its PDU is complete, without copying', () => {
    const splitter = new PduSplitter(limits)
    const chunk = stream.subarray(0, 60)
    splitter.feed(chunk)
    const arrival = splitter.next()
    expect(arrival).toMatchObject({ kind: 'fragment', contextId: 1, last: false })
    expect(arrival?.kind === 'fragment' && arrival.data.buffer === chunk.buffer).toBe(true)
    expect(splitter.next()).toBeUndefined()
  })

  it.each([
    ['a P-DATA-TF longer than announced', Buffer.from('04000000100100', 'hex'), 'P-DATA-TF longer than announced'],
    ['a P-DATA-TF of four gigabytes', Buffer.from('0400ffffffff', 'hex'), 'P-DATA-TF longer than announced'],
    ['an association request of four gigabytes', Buffer.from('0100ffffffff', 'hex'), 'PDU length out of bounds'],
    ['an empty P-DATA-TF', Buffer.from('040000000000', 'hex'), 'P-DATA-TF too short'],
    ['a value longer than its P-DATA-TF', Buffer.from('040000000010000000100103', 'hex'), 'value longer than its P-DATA-TF'],
    ['a value without its header', Buffer.from('040000000010000000010103', 'hex'), 'value longer than its P-DATA-TF'],
    ['bytes after the last value', Buffer.concat([Buffer.from('0400000000090000000201030000', 'hex')]), 'bytes left over in P-DATA-TF'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'unrecognised PDU type'],
    ['a TLS handshake', Buffer.from('16', 'hex'), 'unrecognised PDU type'],
  ])('refuses %s', (_, input, fault) => {
    expect(() => split(input)).toThrowError(expect.objectContaining({ code: 'dimse/protocol', facts: expect.objectContaining({ fault }) }))
  })

  it('splits or refuses, whatever bytes come in whatever pieces', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(1, 2, 3, 4, 5, 6, 7),
        fc.array(fc.nat(300), { maxLength: 10 }),
        (noise, type, cuts) => {
          const input = Buffer.concat([Buffer.from([type]), Buffer.from(noise)])
          if (input.length > 6) input.writeUInt16BE(0, 2)
          try {
            split(input, cuts)
          } catch (error) {
            if (!isProblem(error) || error.code !== 'dimse/protocol') throw error
          }
        },
      ),
      { numRuns: 3_000 },
    )
  })
})
