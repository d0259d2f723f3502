import { Buffer } from 'node:buffer'

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to and without `sides`. */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * sides)
  }

  one<T>(among: readonly T[]): T {
    const chosen = among[this.roll(among.length)]
    if (chosen === undefined) throw new Error('nothing to choose among')
    return chosen
  }
}

/** What a client said in one association, PDU by PDU (PS3.8 9.3.1: type, reserved, 32-bit length). */
export type Conversation = readonly Buffer[]

const PDU_HEADER_BYTES = 6

/** @throws {Error} when the bytes are not whole PDUs: a capture is not. */
export function conversationOf(bytes: Buffer): Buffer[] {
  const pdus: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = at + PDU_HEADER_BYTES <= bytes.length ? bytes.readUInt32BE(at + 2) : Infinity
    if (at + PDU_HEADER_BYTES + length > bytes.length) throw new Error(`a PDU at ${at} is not whole`)
    pdus.push(bytes.subarray(at, at + PDU_HEADER_BYTES + length))
    at += PDU_HEADER_BYTES + length
  }
  return pdus
}

type Mutation = (pdus: Buffer[], dice: Dice, others: readonly Conversation[]) => Buffer[]

const edited = (pdus: Buffer[], dice: Dice, edit: (pdu: Buffer) => Buffer): Buffer[] => {
  const index = dice.roll(pdus.length)
  return pdus.map((pdu, at) => (at === index ? edit(Buffer.from(pdu)) : pdu))
}
const lies = [0, 1, 2, 3, 5, 6, 7, 0x7f, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

/** Each leaves the conversation as somebody might send it who is broken, or means harm. */
const mutations: Readonly<Record<string, Mutation>> = {
  'flipped bits': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      for (let flips = 1 + dice.roll(8); flips > 0; flips--) {
        const at = dice.roll(pdu.length)
        pdu[at] = (pdu[at] ?? 0) ^ (1 << dice.roll(8))
      }
      return pdu
    }),
  'other bytes': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      for (let count = 1 + dice.roll(16), at = dice.roll(pdu.length); count > 0 && at < pdu.length; count--, at++) pdu[at] = dice.one([0, 0xff, 0x7f, 0x80, 0x2a, 0x5c, 0x2e, 0x2f, dice.roll(256)])
      return pdu
    }),
  'a PDU that lies about its length': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      if (pdu.length < PDU_HEADER_BYTES) return pdu
      const honest = pdu.readUInt32BE(2)
      pdu.writeUInt32BE(dice.one([...lies, honest + 1, Math.max(0, honest - 1), honest * 2]) >>> 0, 2)
      return pdu
    }),
  'a length inside that lies': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      if (pdu.length < PDU_HEADER_BYTES + 8) return pdu
      const at = PDU_HEADER_BYTES + dice.roll(pdu.length - PDU_HEADER_BYTES - 4)
      const lie = dice.one(lies)
      if (dice.roll(2) === 0) pdu.writeUInt16BE(lie & 0xffff, at)
      else if (dice.roll(2) === 0) pdu.writeUInt32BE(lie >>> 0, at)
      else pdu.writeUInt32LE(lie >>> 0, at)
      return pdu
    }),
  'another PDU type': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      pdu[0] = dice.roll(10)
      return pdu
    }),
  'cut off': (pdus, dice) => {
    const index = dice.roll(pdus.length)
    const last = pdus[index] ?? Buffer.alloc(0)
    return [...pdus.slice(0, index), last.subarray(0, dice.roll(last.length))]
  },
  'a piece twice': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      const from = dice.roll(pdu.length)
      const piece = pdu.subarray(from, from + 1 + dice.roll(2_000))
      return Buffer.concat([pdu.subarray(0, from), piece, pdu.subarray(from)])
    }),
  'a piece missing': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      const from = dice.roll(pdu.length)
      return Buffer.concat([pdu.subarray(0, from), pdu.subarray(from + 1 + dice.roll(64))])
    }),
  'strange bytes between': (pdus, dice) =>
    edited(pdus, dice, (pdu) => {
      const at = dice.roll(pdu.length)
      return Buffer.concat([pdu.subarray(0, at), Buffer.from(Array.from({ length: 1 + dice.roll(40) }, () => dice.roll(256))), pdu.subarray(at)])
    }),
  'another order': (pdus, dice) => {
    const [a, b] = [dice.roll(pdus.length), dice.roll(pdus.length)]
    return pdus.map((pdu, at) => (at === a ? (pdus[b] ?? pdu) : at === b ? (pdus[a] ?? pdu) : pdu))
  },
  'a PDU missing': (pdus, dice) => {
    const index = dice.roll(pdus.length)
    return pdus.filter((_pdu, at) => at !== index || pdus.length === 1)
  },
  'a PDU twice': (pdus, dice) => {
    const index = dice.roll(pdus.length)
    return pdus.flatMap((pdu, at) => (at === index ? [pdu, pdu] : [pdu]))
  },
  'the end of another conversation': (pdus, dice, others) => {
    const other = dice.one(others)
    return [...pdus.slice(0, 1 + dice.roll(pdus.length)), ...other.slice(dice.roll(other.length))]
  },
}

/** One to three mutations of a conversation, and what they were. */
export function mutated(conversation: Conversation, others: readonly Conversation[], dice: Dice): { readonly pdus: Conversation; readonly how: readonly string[] } {
  let pdus: Buffer[] = [...conversation]
  const how: string[] = []
  for (let count = 1 + dice.roll(3); count > 0 && pdus.length > 0; count--) {
    const name = dice.one(Object.keys(mutations))
    pdus = (mutations[name] as Mutation)(pdus, dice, others).filter((pdu) => pdu.length > 0)
    how.push(name)
  }
  return { pdus, how }
}
