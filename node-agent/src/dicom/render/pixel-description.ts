import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import type { JsonAttribute, JsonDataset } from '../dicom-json.ts'
import { tagOf, tagText } from '../dictionary.ts'
import { readHeader } from '../read-metadata.ts'

/** A lookup table of PS3.3 C.11.1 or C.7.6.3.1.5: `first` is the value that the first entry answers. */
export interface LookupTable {
  readonly first: number
  readonly bits: number
  readonly entries: readonly number[]
}

/** What decoding and showing one frame need to know; plain values, so that it can be handed to a worker thread. */
export interface PixelDescription {
  readonly rows: number
  readonly columns: number
  readonly samplesPerPixel: number
  readonly photometricInterpretation: string
  readonly planarConfiguration: number
  readonly bitsAllocated: number
  readonly bitsStored: number
  readonly highBit: number
  readonly signed: boolean
  readonly float: boolean
  readonly rescaleSlope: number
  readonly rescaleIntercept: number
  readonly modalityLut?: LookupTable
  readonly windows: readonly { readonly center: number; readonly width: number }[]
  readonly voiFunction: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID'
  readonly voiLut?: LookupTable
  readonly paddingValue?: number
  readonly palette?: readonly [LookupTable, LookupTable, LookupTable]
}

/** A palette of 65,536 entries of 16 bits has 128 KiB. */
const lutBytes = 256 * 1024
/** More pixels in one frame than any detector or scanner has: a lie that would eat memory. */
const maxPixels = 400_000_000

/** @param frame counts from 1. @throws {Problem} archive/not-renderable when there are no pixels one could show. */
export async function describePixels(file: InstanceFile, frame: number): Promise<PixelDescription> {
  const dataset = await readHeader(file, lutBytes)
  const rows = number(dataset, 'Rows') ?? 0
  const columns = number(dataset, 'Columns') ?? 0
  const index = file.frameIndex
  if (index.kind === 'none' || rows * columns === 0 || rows * columns > maxPixels) throw notRenderable(file, 'no pixels')
  const bitsAllocated = number(dataset, 'BitsAllocated') ?? 8
  const bitsStored = Math.min(number(dataset, 'BitsStored') ?? bitsAllocated, bitsAllocated)
  const functional = functionalGroups(dataset, frame)
  const transform = functional('PixelValueTransformationSequence') ?? dataset
  const voi = functional('FrameVOILUTSequence') ?? dataset
  const signed = number(dataset, 'PixelRepresentation') === 1
  const padding = number(dataset, 'PixelPaddingValue')
  const modalityLut = lookupTable(item(dataset, 'ModalityLUTSequence'), 'LUT', signed)
  const voiLut = lookupTable(item(voi, 'VOILUTSequence'), 'LUT', signed)
  const palette = paletteOf(dataset)
  const float = isFloat(file)
  const slope = number(transform, 'RescaleSlope') ?? 1
  const intercept = number(transform, 'RescaleIntercept') ?? 0
  const ends = [signed ? -(2 ** (bitsStored - 1)) : 0, 2 ** (signed ? bitsStored - 1 : bitsStored) - 1].map(
    (value) => value * slope + intercept,
  )
  const isOwn = (window: { center: number; width: number }): boolean =>
    float || modalityLut !== undefined || !isForeignWindow(window, Math.min(...ends), Math.max(...ends))
  return {
    rows,
    columns,
    samplesPerPixel: number(dataset, 'SamplesPerPixel') ?? 1,
    photometricInterpretation: text(dataset, 'PhotometricInterpretation') || 'MONOCHROME2',
    planarConfiguration: number(dataset, 'PlanarConfiguration') ?? 0,
    bitsAllocated,
    bitsStored,
    highBit: number(dataset, 'HighBit') ?? bitsStored - 1,
    signed,
    float,
    rescaleSlope: slope,
    rescaleIntercept: intercept,
    windows: windowsOf(voi).filter(isOwn),
    voiFunction: voiFunctionOf(text(voi, 'VOILUTFunction')),
    ...(modalityLut && { modalityLut }),
    ...(voiLut && { voiLut }),
    ...(padding !== undefined && { paddingValue: padding }),
    ...(palette && { palette }),
  }
}

const notRenderable = (file: InstanceFile, reason: string) =>
  new Problem('archive/not-renderable', { sopInstanceUid: file.row.sopInstanceUid, reason })

function isFloat(file: InstanceFile): boolean {
  // The scanner keeps the VR: OF and OD are used for nothing else.
  return file.frameIndex.kind === 'native' && (file.frameIndex.vr === 'OF' || file.frameIndex.vr === 'OD')
}

function attribute(dataset: JsonDataset | undefined, keyword: string): JsonAttribute | undefined {
  const tag = tagOf(keyword)
  return tag === undefined ? undefined : dataset?.[tagText(tag)]
}

function number(dataset: JsonDataset | undefined, keyword: string): number | undefined {
  const value = attribute(dataset, keyword)?.Value?.[0]
  return typeof value === 'number' ? value : undefined
}

const numbers = (dataset: JsonDataset | undefined, keyword: string): number[] =>
  (attribute(dataset, keyword)?.Value ?? []).filter((value) => typeof value === 'number')
const text = (dataset: JsonDataset | undefined, keyword: string): string => String(attribute(dataset, keyword)?.Value?.[0] ?? '')

function item(dataset: JsonDataset | undefined, keyword: string, index = 0): JsonDataset | undefined {
  const value = attribute(dataset, keyword)?.Value?.[index]
  return typeof value === 'object' && value !== null ? (value as JsonDataset) : undefined
}

/** Enhanced multi-frame objects say it per frame or shared by all frames (PS3.3 C.7.6.16). */
function functionalGroups(dataset: JsonDataset, frame: number): (sequence: string) => JsonDataset | undefined {
  const own = item(dataset, 'PerFrameFunctionalGroupsSequence', frame - 1)
  const shared = item(dataset, 'SharedFunctionalGroupsSequence')
  return (sequence) => item(own, sequence) ?? item(shared, sequence)
}

function windowsOf(dataset: JsonDataset): { center: number; width: number }[] {
  const centers = numbers(dataset, 'WindowCenter')
  const widths = numbers(dataset, 'WindowWidth')
  return centers.flatMap((center, at) => {
    const width = widths[at]
    return width !== undefined && width > 0 ? [{ center, width }] : []
  })
}

/**
 * Whether a window was copied from another image: its middle and three quarters of it lie outside the values that pixels of
 * this one can have. It would show a white or black surface.
 */
export function isForeignWindow({ center, width }: { center: number; width: number }, least: number, most: number): boolean {
  const shared = Math.min(center + width / 2, most) - Math.max(center - width / 2, least)
  return (center < least || center > most) && shared < width / 4
}

const voiFunctionOf = (name: string): PixelDescription['voiFunction'] => (name === 'SIGMOID' || name === 'LINEAR_EXACT' ? name : 'LINEAR')

/** `prefix` is `LUT` or `RedPaletteColorLookupTable`; descriptor: entries (0 means 65,536), first value, bits. */
function lookupTable(dataset: JsonDataset | undefined, prefix: string, signedFirst: boolean): LookupTable | undefined {
  const [declared, first, bits] = numbers(dataset, `${prefix}Descriptor`)
  const data = attribute(dataset, `${prefix}Data`)
  if (declared === undefined || first === undefined || bits === undefined || !data) return undefined
  const count = declared === 0 ? 65_536 : declared
  const entries =
    data.InlineBinary === undefined
      ? (data.Value ?? []).filter((value) => typeof value === 'number')
      : entriesOf(Buffer.from(data.InlineBinary, 'base64'), count)
  if (entries.length === 0) return undefined
  return { first: signedFirst && first > 32_767 ? first - 65_536 : first, bits, entries: entries.slice(0, count) }
}

/** Entries of 8 bits may be packed two to a word (PS3.3 C.7.6.3.1.6). */
function entriesOf(bytes: Buffer, count: number): number[] {
  if (bytes.length < count * 2) return [...bytes]
  return Array.from({ length: Math.floor(bytes.length / 2) }, (_each, at) => bytes.readUInt16LE(at * 2))
}

function paletteOf(dataset: JsonDataset): PixelDescription['palette'] {
  const [red, green, blue] = (['Red', 'Green', 'Blue'] as const).map((colour) =>
    lookupTable(dataset, `${colour}PaletteColorLookupTable`, number(dataset, 'PixelRepresentation') === 1),
  )
  return red && green && blue ? [red, green, blue] : undefined
}
