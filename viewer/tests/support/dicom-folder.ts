import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import dcmjs from 'dcmjs'

dcmjs.log.setLevel('error')

export interface ServedInstance {
  readonly study: string
  readonly series: string
  readonly sop: string
  readonly modality: string
  readonly transferSyntax: string
  /** DICOM JSON without pixels. */
  readonly metadata: Record<string, unknown>
  readonly frames: readonly Uint8Array[]
}

interface RawElement {
  readonly vr: string
  readonly Value?: readonly unknown[]
}

/** Reads every DICOM file of the folders (not below them) with dcmjs, a reader that the product itself does not use here. */
export function readDicomFolders(...folders: readonly string[]): ServedInstance[] {
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.dcm'))
      .map((name) => readInstance(join(folder, name))),
  )
}

function readInstance(path: string): ServedInstance {
  const bytes = readFileSync(path)
  const file = dcmjs.data.DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)
  const dict = file.dict as Record<string, RawElement>
  const text = (tag: string): string => String(dict[tag]?.Value?.[0] ?? '').trim()
  const transferSyntax = String((file.meta as Record<string, RawElement>)['00020010']?.Value?.[0] ?? '1.2.840.10008.1.2').trim()
  return {
    study: text('0020000D'),
    series: text('0020000E'),
    sop: text('00080018'),
    modality: text('00080060'),
    transferSyntax,
    metadata: JSON.parse(JSON.stringify(plain(dict))) as Record<string, unknown>,
    frames: framesOf(dict),
  }
}

/** Binary values stay out, as they do in WADO-RS metadata. */
function plain(dict: Record<string, RawElement>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [tag, { vr, Value = [] }] of Object.entries(dict)) {
    if (/^(OB|OW|OF|OD|OL|OV|UN)$/.test(vr) || tag === '7FE00010') continue
    kept[tag] = { vr, Value: vr === 'SQ' ? Value.map((item) => plain(item as Record<string, RawElement>)) : [...Value] }
  }
  return kept
}

function framesOf(dict: Record<string, RawElement>): Uint8Array[] {
  const values = (dict['7FE00010']?.Value ?? []) as readonly ArrayBuffer[]
  const number = (tag: string): number => Number(dict[tag]?.Value?.[0] ?? 0)
  const count = Math.max(1, number('00280008'))
  if (values.length !== 1 || count === 1) return values.map((value) => new Uint8Array(value))
  const frameBytes = number('00280010') * number('00280011') * number('00280002') * (number('00280100') / 8)
  return Array.from({ length: count }, (_, index) => new Uint8Array(values[0] as ArrayBuffer, index * frameBytes, frameBytes))
}
