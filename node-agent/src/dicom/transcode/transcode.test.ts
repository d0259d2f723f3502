import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { reordered, reorderedStream, unitOf } from '../byte-order.ts'
import { EXPLICIT_LE, IMPLICIT_LE } from '../transfer-syntax.ts'
import { chooseSyntax } from './choose-syntax.ts'
import { packedBits } from './frame-stream.ts'

const j = (suffix: string) => `1.2.840.10008.1.2.4.${suffix}`

async function* chunks(...parts: readonly (readonly number[])[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part))
}
async function whole(stream: AsyncIterable<Buffer>): Promise<number[]> {
  const all: Buffer[] = []
  for await (const chunk of stream) all.push(chunk)
  return [...Buffer.concat(all)]
}

describe('choosing how an instance is given', () => {
  it('takes what is stored where that is accepted, and never loses anything otherwise', () => {
    // ARC-03, ARC-26
    expect(chooseSyntax(j('50'), [IMPLICIT_LE, j('50')])).toBe(j('50'))
    expect(chooseSyntax(j('70'), [IMPLICIT_LE, EXPLICIT_LE, j('90')])).toBe(EXPLICIT_LE)
    expect(chooseSyntax(EXPLICIT_LE, [j('50'), j('91'), j('81')])).toBeUndefined()
    expect(chooseSyntax(EXPLICIT_LE, [j('50'), j('80')])).toBe(j('80'))
  })

  it('gives video only to whoever takes it', () => {
    expect(chooseSyntax(j('102'), [EXPLICIT_LE, IMPLICIT_LE])).toBeUndefined()
    expect(chooseSyntax(j('102'), [j('102')])).toBe(j('102'))
  })
})

describe('the other byte order', () => {
  it('turns each unit round, wherever a chunk ends', async () => {
    expect(['US', 'AT', 'FL', 'FD', 'OB', 'UN', 'LO'].map(unitOf)).toEqual([2, 2, 4, 8, 1, 1, 1])
    expect([...reordered(Buffer.from([1, 2, 3, 4, 5]), 2)]).toEqual([2, 1, 4, 3, 5])
    expect(await whole(reorderedStream(chunks([1], [2, 3, 4, 5], [6, 7, 8]), 4))).toEqual([4, 3, 2, 1, 8, 7, 6, 5])
  })
})

describe('frames of one bit per pixel', () => {
  it('follow each other without a gap', async () => {
    // PS3.5 8.1.1, the first pixel is the lowest bit: of 5 pixels each 10101, 00000, 11111, 10000
    expect(await whole(packedBits(chunks([0b10101], [0b00000], [0b11111], [0b00001]), 5))).toEqual([0b00010101, 0b11111100, 0b0])
    expect(await whole(packedBits(chunks([0xaa, 0x01], [0xff, 0x00]), 16))).toEqual([0xaa, 0x01, 0xff, 0x00])
  })
})
