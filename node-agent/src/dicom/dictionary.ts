import { DicomMetaDictionary } from './dcmjs-data.ts'

interface Entry {
  readonly vr: string
  readonly name: string
}

// dcmjs ships PS3.6 as an object whose members are found by `(gggg,eeee)`; retired names carry a prefix there.
const byTag = DicomMetaDictionary.dictionary
const byName = DicomMetaDictionary.nameMap

/** VRs that depend on other elements; PS3.5 A.1 says what implicit VR means by them. `xs` becomes SS by Pixel Representation elsewhere. */
const ambiguous: Readonly<Record<string, string>> = { ox: 'OW', xs: 'US', lt: 'OW', up: 'UL', na: 'UN' }

const cache = new Map<number, Entry | undefined>()

export const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0')
/** `00100010`, as DICOM JSON writes tags. */
export const tagText = (tag: number): string => hex(tag, 8)
export const groupOf = (tag: number): number => tag >>> 16
export const isPrivate = (tag: number): boolean => (groupOf(tag) & 1) === 1

function lookUp(tag: number): Entry | undefined {
  if (cache.has(tag)) return cache.get(tag)
  const group = groupOf(tag)
  // Repeating groups 50xx and 60xx (PS3.6 6) are listed once.
  const listed = (group & 0xff00) === 0x5000 || (group & 0xff00) === 0x6000 ? ((group & 0xff00) << 16) | (tag & 0xffff) : tag
  const entry = byTag[`(${hex((listed >>> 16) & 0xffff, 4)},${hex(listed & 0xffff, 4)})`]
  // Hostile files name arbitrary tags: only what exists is remembered.
  if (entry) cache.set(tag, entry)
  return entry
}

/** Value representation of a standard element under implicit VR; UN when unknown (PS3.5 6.2.2). */
export function vrOf(tag: number): string {
  if ((tag & 0xffff) === 0) return 'UL'
  // Private creators (gggg,0010-00FF) are LO by PS3.5 7.8.1.
  if (isPrivate(tag)) return (tag & 0xffff) >= 0x10 && (tag & 0xffff) <= 0xff ? 'LO' : 'UN'
  const entry = lookUp(tag)
  if (!entry) return 'UN'
  return ambiguous[entry.vr] ?? entry.vr
}

/** True for US-or-SS elements, which Pixel Representation decides. */
export function isSignedByPixels(tag: number): boolean {
  return lookUp(tag)?.vr === 'xs'
}

export function keywordOf(tag: number): string | undefined {
  const name = lookUp(tag)?.name
  return name?.startsWith('RETIRED_') ? name.slice(8) : name
}

/** Tag of a keyword (`PatientName`) or of eight hex digits. */
export function tagOf(keywordOrHex: string): number | undefined {
  if (/^[0-9A-Fa-f]{8}$/.test(keywordOrHex)) return Number.parseInt(keywordOrHex, 16)
  const entry = Object.hasOwn(byName, keywordOrHex) ? byName[keywordOrHex] : undefined
  const digits = entry?.tag.replaceAll(/[(),]/g, '')
  return digits && /^[0-9A-Fa-f]{8}$/.test(digits) ? Number.parseInt(digits, 16) : undefined
}
