import { Buffer } from 'node:buffer'

/**
 * What is agreed for one Query/Retrieve class beyond the plain service (PS3.4 C.5.1.1 for FIND, C.5.2.1 and C.5.3.1 for MOVE and GET,
 * where only the first byte exists).
 */
export interface ExtendedBehaviour {
  /** Keys of the levels above need not be there. */
  readonly relational: boolean
  /** Ranges of a date and a time are one range of moments. */
  readonly dateTime: boolean
  /** Person names match by meaning: words in any order, accents and pinyin apart. */
  readonly fuzzy: boolean
}

export const plainBehaviour: ExtendedBehaviour = { relational: false, dateTime: false, fuzzy: false }

/** @param information one byte each, 1 for yes; missing bytes are no. Undefined: nothing was negotiated. */
export function readExtended(information: Buffer | undefined): ExtendedBehaviour {
  const is = (at: number) => information?.[at] === 1
  return { relational: is(0), dateTime: is(1), fuzzy: is(2) }
}

export function encodeExtended({ relational = false, dateTime = false, fuzzy = false }: Partial<ExtendedBehaviour>): Buffer {
  return Buffer.from([Number(relational), Number(dateTime), Number(fuzzy)])
}
