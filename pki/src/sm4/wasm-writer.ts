import { Buffer } from 'node:buffer'

/** The few words of WebAssembly (core specification 2.0, chapter 5) that one vector program needs. */
export type Code = readonly number[]

const I32 = 0x7f
const V128 = 0x7b

/** LEB128, unsigned and signed. */
function unsigned(value: number): number[] {
  const octets: number[] = []
  let rest = value
  while (rest > 0x7f) {
    octets.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  return [...octets, rest]
}
function signed(value: number): number[] {
  const octets: number[] = []
  let rest = value
  while (rest < -64 || rest > 63) {
    octets.push((rest & 0x7f) | 0x80)
    rest >>= 7
  }
  return [...octets, rest & 0x7f]
}

const vector = (operation: number, ...immediate: readonly number[]): Code => [0xfd, ...unsigned(operation), ...immediate]

export const get = (local: number): Code => [0x20, ...unsigned(local)]
export const set = (local: number): Code => [0x21, ...unsigned(local)]
export const tee = (local: number): Code => [0x22, ...unsigned(local)]
export const i32 = (value: number): Code => [0x41, ...signed(value)]
export const i32Add: Code = [0x6a]
export const i32Subtract: Code = [0x6b]
export const i32LessUnsigned: Code = [0x49]

export const v128 = (octets: Uint8Array): Code => vector(0x0c, ...octets)
/** Alignment is a promise in powers of two; image bytes keep none. */
export const v128Load = (offset: number): Code => vector(0x00, 0, ...unsigned(offset))
export const v128Load32Splat = (offset: number): Code => vector(0x09, 2, ...unsigned(offset))
export const v128Store = (offset: number): Code => vector(0x0b, 0, ...unsigned(offset))
export const shuffle = (lanes: readonly number[]): Code => vector(0x0d, ...lanes)
/** Reads the lower operand at the octets of the upper; indices of 16 and more give zero. */
export const swizzle: Code = vector(0x0e)
export const splat: Code = vector(0x11)
export const and: Code = vector(0x4e)
export const xor: Code = vector(0x51)
export const shiftRight16: Code = vector(0x8d)
export const shiftLeft32: Code = vector(0xab)
export const shiftRight32: Code = vector(0xad)
export const add32: Code = vector(0xae)

/** Repeats the body as long as it leaves something other than zero behind. */
export const repeatWhile = (...body: readonly Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b]

/**
 * A module with one exported function `run` of `parameters` 32-bit numbers and one exported `memory` of `pages` × 64 KiB.
 * Locals are numbered: parameters, then numbers, then vectors.
 */
export function wasmModule(program: { parameters: number; numbers: number; vectors: number; pages: number; body: Code }): Uint8Array<ArrayBuffer> {
  const { parameters, numbers, vectors, pages, body } = program
  const section = (id: number, content: Code): Code => [id, ...unsigned(content.length), ...content]
  const name = (text: string): Code => [text.length, ...Buffer.from(text)]
  const code = [2, ...unsigned(numbers), I32, ...unsigned(vectors), V128, ...body, 0x0b]
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, parameters, ...Array<number>(parameters).fill(I32), 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, ...unsigned(pages)]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('run'), 0, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ])
}
