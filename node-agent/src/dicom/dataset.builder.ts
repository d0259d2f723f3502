import { Buffer } from 'node:buffer'
import { tagOf, vrOf } from './dictionary.ts'
import { writeFileMeta } from './file-meta.ts'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts'

/** Small datasets for tests, written element by element, so that what a reader meets is exactly what the test says. */
export type BuiltValue = string | number | Uint8Array | readonly BuiltDataset[] | { readonly fragments: readonly Uint8Array[] }
export type BuiltDataset = Readonly<Record<string, BuiltValue>>

export interface BuildOptions {
  readonly transferSyntaxUid?: string
  /** Sequences and items end by delimiters instead of lengths. */
  readonly undefinedLengths?: boolean
}

const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])

/** Keys are DICOM keywords or eight hex digits, `PixelData:OB` names the VR; elements are written in tag order. */
export function buildDataset(dataset: BuiltDataset, options: BuildOptions = {}): Buffer {
  const elements = Object.entries(dataset).map(([key, value]) => {
    const [name = '', vr] = key.split(':')
    const tag = tagOf(name)
    if (tag === undefined) throw new Error(`no element is called ${name}`)
    return { tag, vr: vr ?? vrOf(tag), value }
  })
  return Buffer.concat(elements.sort((a, b) => a.tag - b.tag).map(({ tag, vr, value }) => element(tag, vr, value, options)))
}

export function buildFile(dataset: BuiltDataset, options: BuildOptions = {}): Buffer {
  const sopClassUid = String(dataset.SOPClassUID ?? '1.2.840.10008.5.1.4.1.1.7')
  const meta = writeFileMeta({
    sopClassUid,
    sopInstanceUid: String(dataset.SOPInstanceUID),
    transferSyntaxUid: options.transferSyntaxUid ?? EXPLICIT_LE,
  })
  return Buffer.concat([meta, buildDataset(dataset, options)])
}

function element(tag: number, vr: string, value: BuiltValue, options: BuildOptions): Buffer {
  if (Array.isArray(value)) {
    const items = Buffer.concat((value as readonly BuiltDataset[]).map((each) => item(buildDataset(each, options), options)))
    return options.undefinedLengths
      ? Buffer.concat([head(tag, 'SQ', 0xffffffff, options), items, delimiter(0xe0dd, 0, options)])
      : Buffer.concat([head(tag, 'SQ', items.length, options), items])
  }
  if (typeof value === 'object' && 'fragments' in value) {
    const parts = value.fragments.flatMap((fragment) => [delimiter(0xe000, fragment.length, options), Buffer.from(fragment)])
    return Buffer.concat([head(tag, 'OB', 0xffffffff, options), ...parts, delimiter(0xe0dd, 0, options)])
  }
  const bytes = bytesOf(vr, value as string | number | Uint8Array, options)
  return Buffer.concat([head(tag, vr, bytes.length, options), bytes])
}

function item(content: Buffer, options: BuildOptions): Buffer {
  if (!options.undefinedLengths) return Buffer.concat([delimiter(0xe000, content.length, options), content])
  return Buffer.concat([delimiter(0xe000, 0xffffffff, options), content, delimiter(0xe00d, 0, options)])
}

const isBig = ({ transferSyntaxUid }: BuildOptions): boolean => transferSyntaxUid === EXPLICIT_BE

function bytesOf(vr: string, value: string | number | Uint8Array, options: BuildOptions): Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(vr === 'US' || vr === 'SS' ? 2 : 4)
    if (isBig(options)) bytes.writeUIntBE(value, 0, bytes.length)
    else bytes.writeUIntLE(value, 0, bytes.length)
    return bytes
  }
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(value)
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' || vr === 'OB' ? '\0' : ' ')])
}

function head(tag: number, vr: string, length: number, options: BuildOptions): Buffer {
  const explicit = options.transferSyntaxUid !== IMPLICIT_LE
  const long = longVrs.has(vr)
  const bytes = Buffer.alloc(explicit && long ? 12 : 8)
  const write = (value: number, at: number, width: number) =>
    isBig(options) ? bytes.writeUIntBE(value, at, width) : bytes.writeUIntLE(value, at, width)
  write(tag >>> 16, 0, 2)
  write(tag & 0xffff, 2, 2)
  if (!explicit) write(length, 4, 4)
  else {
    bytes.write(vr, 4, 'latin1')
    if (long) write(length, 8, 4)
    else write(length, 6, 2)
  }
  return bytes
}

function delimiter(tagElement: number, length: number, options: BuildOptions): Buffer {
  const bytes = Buffer.alloc(8)
  const write = (value: number, at: number, width: number) =>
    isBig(options) ? bytes.writeUIntBE(value, at, width) : bytes.writeUIntLE(value, at, width)
  write(0xfffe, 0, 2)
  write(tagElement, 2, 2)
  write(length, 4, 4)
  return bytes
}
