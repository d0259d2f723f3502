import { Buffer } from 'node:buffer'
import { isProblem } from 'specs'
import { readWhole, Tag } from '../der/reader.ts'
import { readUnsigned } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { isScalar } from './curve.ts'

/** r‖s, 64 bytes → SEQUENCE { r INTEGER, s INTEGER } (GM/T 0009-2012 7.3). */
export function encodeSignature(rs: Uint8Array): Uint8Array {
  return der.sequence(der.unsigned(rs.subarray(0, 32)), der.unsigned(rs.subarray(32)))
}

/** The reverse; undefined unless it is strict DER with 1 ≤ r, s < n (GB/T 32918.2 7.1 B1, B2). */
export function decodeSignature(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const rs = readWhole(bytes, 'signature', (reader) => {
      const inner = reader.enter(Tag.sequence, 'signature')
      const parts = [readUnsigned(inner, 'r', 32), readUnsigned(inner, 's', 32)]
      inner.finish('signature')
      return Buffer.concat(parts.map((part) => Buffer.concat([Buffer.alloc(32 - part.length), part])))
    })
    return isScalar(rs.subarray(0, 32)) && isScalar(rs.subarray(32)) ? rs : undefined
  } catch (error) {
    if (isProblem(error)) return undefined
    throw error
  }
}
