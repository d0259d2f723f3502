import { Buffer } from 'node:buffer'
import { swapped } from './dicom-json.ts'

/** How many bytes make a unit that little and big endian write in another order (PS3.5 7.3); everything else is bytes. */
const units: Readonly<Record<string, 2 | 4 | 8>> = { AT: 2, OW: 2, SS: 2, US: 2, FL: 4, OF: 4, OL: 4, SL: 4, UL: 4, FD: 8, OD: 8, OV: 8, SV: 8, UV: 8 }

export const unitOf = (vr: string): 1 | 2 | 4 | 8 => units[vr] ?? 1

/** A value in the other byte order; bytes that are no whole unit stay as they are. */
export function reordered(bytes: Buffer, unit: number): Buffer {
  if (unit === 1) return bytes
  const whole = bytes.length - (bytes.length % unit)
  return whole === bytes.length ? swapped(bytes, unit) : Buffer.concat([swapped(bytes.subarray(0, whole), unit), bytes.subarray(whole)])
}

/** The same for a long value that comes in chunks of any size. */
export async function* reorderedStream(chunks: AsyncIterable<Buffer>, unit: number): AsyncGenerator<Buffer> {
  if (unit === 1) return yield* chunks
  let carry: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const all = carry.length > 0 ? Buffer.concat([carry, chunk]) : chunk
    const whole = all.length - (all.length % unit)
    if (whole > 0) yield swapped(all.subarray(0, whole), unit)
    carry = all.subarray(whole)
  }
  if (carry.length > 0) yield carry
}
