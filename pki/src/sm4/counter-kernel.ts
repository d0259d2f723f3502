import { roundKeys, spread } from './key-schedule.ts'
import { shuffleTables } from './tower-field.ts'
import {
  add32, and, get, i32, i32Add, i32LessUnsigned, i32Subtract, repeatWhile, set, shiftLeft32, shiftRight16, shiftRight32, shuffle, splat, swizzle, tee,
  v128, v128Load, v128Load32Splat, v128Store, wasmModule, xor, type Code,
} from './wasm-writer.ts' // prettier-ignore

// A vector holds one word of four blocks. Four such fours are worked on side by side, so that one's shuffles fill the
// time in which another's are not ready: a single four is no faster than OpenSSL's tables, four of them are 2.7 times.
const FOURS = 4
const BYTES_PER_STEP = FOURS * 64

const ROUND_KEY_BYTES = 128
/** What is enciphered at once: fits into the processor's second cache. */
const CHUNK_BYTES = 256 * 1024
const CHUNK_AT = 1024

// Parameters: three words of the counter block, the last word, and how many steps. Numbers: where, which round.
const [WORD_0, WORD_1, WORD_2, COUNTER, STEPS, AT, ROUND] = [0, 1, 2, 3, 4, 5, 6] as const
const FIRST_VECTOR = 7
let vectors = 0
const vectorLocal = (): number => FIRST_VECTOR + vectors++
const tables = (['inLow', 'inHigh', 'reciprocal', 'scaled', 'outU', 'outV'] as const).map((name) => ({ name, local: vectorLocal() }))
const tableLocal = (name: (typeof tables)[number]['name']): number => tables.find((table) => table.name === name)!.local
const LOW_NIBBLES = vectorLocal()
const COUNTERS = vectorLocal()
const FIXED = [WORD_0, WORD_1, WORD_2].map((word) => ({ word, local: vectorLocal() }))
const fours = Array.from({ length: FOURS }, () => ({
  words: [vectorLocal(), vectorLocal(), vectorLocal(), vectorLocal()],
  p: vectorLocal(),
  q: vectorLocal(),
  r: vectorLocal(),
  s: vectorLocal(),
}))
type Four = (typeof fours)[number]

const lookUp = (name: (typeof tables)[number]['name'], ...index: readonly Code[]): Code => [...get(tableLocal(name)), ...index.flat(), ...swizzle]
const highNibbles = (local: number): Code => [...get(local), ...i32(4), ...shiftRight16, ...get(LOW_NIBBLES), ...and]
const lowNibbles = (local: number): Code => [...get(local), ...get(LOW_NIBBLES), ...and]
/** Every 32-bit lane turned left by whole octets. */
const turned = (local: number, octets: number): Code => [
  ...get(local),
  ...get(local),
  ...shuffle(Array.from({ length: 16 }, (_, at) => (at & ~3) + ((at - octets) & 3))),
]

/** The steps of one round on one four; see shuffleTables for the arithmetic. */
const roundSteps = (round: number): readonly ((four: Four) => Code)[] => {
  const word = (four: Four, index: number) => four.words[(round + index) % 4]!
  return [
    (four) => [...get(word(four, 1)), ...get(word(four, 2)), ...xor, ...get(word(four, 3)), ...xor, ...get(ROUND), ...v128Load32Splat(4 * round), ...xor, ...set(four.p)],
    ({ p }) => [...lookUp('inLow', lowNibbles(p)), ...lookUp('inHigh', highNibbles(p)), ...xor, ...set(p)],
    ({ p, q, r }) => [...highNibbles(p), ...set(q), ...lowNibbles(p), ...tee(p), ...get(q), ...xor, ...set(r)], // k in p, i in q, j in r
    ({ p, s }) => [...lookUp('scaled', get(p)), ...set(s)],
    ({ p, q, r, s }) => [...lookUp('reciprocal', lookUp('reciprocal', get(q)), get(s), xor), ...get(r), ...xor, ...set(p)],
    ({ q, r, s }) => [...lookUp('reciprocal', lookUp('reciprocal', get(r)), get(s), xor), ...get(q), ...xor, ...set(q)],
    ({ p, q }) => [...lookUp('outU', get(p)), ...lookUp('outV', get(q)), ...xor, ...set(p)],
    // L(b) = b ^ b<<<24 ^ (b ^ b<<<8 ^ b<<<16)<<<2
    ({ p, q }) => [...get(p), ...turned(p, 1), ...xor, ...turned(p, 2), ...xor, ...set(q)],
    (four) => [
      ...get(word(four, 0)), ...get(four.p), ...xor, ...turned(four.p, 3), ...xor,
      ...get(four.q), ...i32(2), ...shiftLeft32, ...xor, ...get(four.q), ...i32(30), ...shiftRight32, ...xor, ...set(word(four, 0)),
    ], // prettier-ignore
  ]
}

const counterBlocks: Code = fours.flatMap(({ words }) => [
  ...FIXED.flatMap(({ local }, index) => [...get(local), ...set(words[index]!)]),
  ...[...get(COUNTERS), ...tee(words[3]!), ...i32(4), ...splat, ...add32, ...set(COUNTERS)],
])

const unpackLow = [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]
const unpackHigh = [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31]
const joinLow = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]
const joinHigh = [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31]
const bigEndian = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]

/** From words of four blocks to four blocks, the last word first (GB/T 32907-2016 7.1), over the text in memory. */
const overText = ({ words, p, q, r, s }: Four, index: number): Code => {
  const [w0, w1, w2, w3] = words as [number, number, number, number]
  const pair = (left: number, right: number, lanes: readonly number[], to: number): Code => [...get(left), ...get(right), ...shuffle(lanes), ...set(to)]
  const block = (left: number, right: number, lanes: readonly number[], at: number): Code => [
    ...pair(left, right, lanes, w0), // its word is in q and s by now
    ...get(AT),
    ...[...get(w0), ...get(w0), ...shuffle(bigEndian), ...get(AT), ...v128Load(64 * index + at), ...xor],
    ...v128Store(64 * index + at),
  ]
  return [
    ...[...pair(w3, w2, unpackLow, p), ...pair(w1, w0, unpackLow, q), ...pair(w3, w2, unpackHigh, r), ...pair(w1, w0, unpackHigh, s)],
    ...[...block(p, q, joinLow, 0), ...block(p, q, joinHigh, 16), ...block(r, s, joinLow, 32), ...block(r, s, joinHigh, 48)],
  ]
}

const body: Code = [
  ...tables.flatMap(({ name, local }) => [...v128(shuffleTables[name]), ...set(local)]),
  ...[...v128(new Uint8Array(16).fill(0x0f)), ...set(LOW_NIBBLES)],
  ...FIXED.flatMap(({ word, local }) => [...get(word), ...splat, ...set(local)]),
  ...[...get(COUNTER), ...splat, ...v128(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0)), ...add32, ...set(COUNTERS)],
  ...[...i32(CHUNK_AT), ...set(AT)],
  ...repeatWhile(
    counterBlocks,
    [...i32(0), ...set(ROUND)],
    repeatWhile(
      [0, 1, 2, 3].flatMap((round) => roundSteps(round).flatMap((step) => fours.flatMap((four) => step(four)))),
      [...get(ROUND), ...i32(16), ...i32Add, ...tee(ROUND), ...i32(ROUND_KEY_BYTES), ...i32LessUnsigned],
    ),
    fours.flatMap(overText),
    [...get(AT), ...i32(BYTES_PER_STEP), ...i32Add, ...set(AT)],
    [...get(STEPS), ...i32(1), ...i32Subtract, ...tee(STEPS)],
  ),
]

/** What one run enciphers: `bytes` of text lie at `CHUNK_AT`, round keys (of `kernelKeys`) at 0. */
export const kernel = {
  module: (): Uint8Array<ArrayBuffer> =>
    wasmModule({ parameters: 5, numbers: 2, vectors, pages: Math.ceil((CHUNK_AT + CHUNK_BYTES) / 65_536), body }),
  chunkAt: CHUNK_AT,
  chunkBytes: CHUNK_BYTES,
  bytesPerStep: BYTES_PER_STEP,
} as const

/**
 * Round keys as the kernel wants them. Its S-box leaves out the constant c; L(c, c, c, c) would have to be added to the new
 * word of every round. It is left out too: words of every second four of rounds then differ by it, which the round keys take back,
 * and after 32 rounds nothing is left of it.
 */
export function kernelKeys(key: Uint8Array): Uint32Array {
  const constant = spread(Math.imul(shuffleTables.constant, 0x01010101) >>> 0)
  const difference = (word: number) => ((word >> 2) % 2 === 1 ? constant : 0)
  return roundKeys(key).map((roundKey, round) => roundKey ^ difference(round + 1) ^ difference(round + 2) ^ difference(round + 3))
}
