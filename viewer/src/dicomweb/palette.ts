import { number, type Dataset, type Element } from './dataset.ts'

const channels = [
  { descriptor: '00281101', data: '00281201' },
  { descriptor: '00281102', data: '00281202' },
  { descriptor: '00281103', data: '00281203' },
] as const

/**
 * A copy of the dataset whose palette tables are lists of numbers. DICOM JSON carries them as base64 (PS3.18 F.2.7),
 * Cornerstone's loader reads values only.
 *
 * @see PS3.3 C.7.6.3.1.5: entries of 8 bits may come one per byte or one per 16-bit word.
 */
export function withPalette(dataset: Dataset): Dataset {
  const tables: Record<string, Element> = {}
  for (const { descriptor, data } of channels) {
    const inline = dataset[data]?.InlineBinary
    if (inline === undefined) continue
    const entries = number(dataset, descriptor) || 65_536 // 0 stands for 2^16
    tables[data] = { vr: 'OW', Value: entriesOf(bytesOf(inline), entries) }
  }
  return { ...dataset, ...tables }
}

function entriesOf(bytes: Uint8Array, entries: number): readonly number[] {
  if (bytes.length < entries * 2) return [...bytes.subarray(0, entries)]
  return Array.from({ length: entries }, (_, index) => (bytes[index * 2] ?? 0) | ((bytes[index * 2 + 1] ?? 0) << 8))
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}
