import { Buffer } from 'node:buffer'
import type { ChangedValue, InstanceFile } from '../archive/archive.ts'
import { characterSet, cleanText } from './character-set.ts'
import type { DatasetEditor, NewElement } from './dataset-rewriter.ts'
import { keywordOf, tagText, vrOf } from './dictionary.ts'
import { isAscii, isText, ItemCharacterSets, SPECIFIC_CHARACTER_SET, type Header, type HeaderElement } from './header-reading.ts'
import { rewrittenFile } from './rewritten-file.ts'
import { transferSyntax } from './transfer-syntax.ts'

/** What is to be different in the header of an instance. Pixel Data and identifying UIDs never are. */
export interface HeaderChange {
  /** New texts of top-level elements by tag; '' empties. */
  readonly values: ReadonlyMap<number, string>
  /** How the texts are to be read, where that is not what was declared (`GB18030`); they are written as UTF-8 then. */
  readonly readAs?: string | undefined
  /** (0400,0565): COERCE for what rules do on the way in, CORRECT for what a person decided. */
  readonly reason: 'COERCE' | 'CORRECT'
  /** Whoever had it changed: goes into Modifying System behind the product's name. */
  readonly by: string
  /** (0400,0564): who the previous values came from. */
  readonly source: string
  /** Epoch ms. */
  readonly at: number
}

const UTF8 = 'ISO_IR 192'
const ORIGINAL_ATTRIBUTES = 0x04000561
/** What makes an instance the one it is, and what its bytes mean: never changed. */
const fixed = new Set([0x00080016, 0x00080018, 0x0020000d, 0x0020000e])
const isChangeable = (tag: number): boolean => !fixed.has(tag) && tag < 0x7fe00000 && tag >>> 16 !== 2 && tag !== ORIGINAL_ATTRIBUTES

interface Plan {
  readonly changes: readonly ChangedValue[]
  readonly converts: boolean
  /** The former elements; of those that were not there, an empty one. */
  readonly before: readonly HeaderElement[]
}

/** What a change means for this header; undefined: nothing. */
export function planChange(header: Header, { values, readAs }: Pick<HeaderChange, 'values' | 'readAs'>): Plan | undefined {
  const wanted = [...values].filter(([tag, text]) => isChangeable(tag) && tag !== SPECIFIC_CHARACTER_SET && header.text(tag) !== text)
  const isReread = readAs !== undefined && header.foreign.length > 0
  const needsUtf8 = wanted.some(([tag, text]) => isText(tag, vrOf(tag)) && !isAscii(Buffer.from(text)))
  const converts = isReread || (needsUtf8 && !/^ISO[ _-]?IR[ _-]?192$/i.test(header.declared))
  if (wanted.length === 0 && !isReread) return undefined
  const set = characterSet(readAs ?? header.declared)
  const named = new Set(wanted.map(([tag]) => tag))
  const reread = isReread ? [...header.elements.values()].filter(({ tag, vr, bytes }) => !named.has(tag) && isText(tag, vr) && !isAscii(bytes)) : []
  const changes: ChangedValue[] = [
    ...(converts && header.declared !== UTF8 ? [{ attribute: 'SpecificCharacterSet', from: header.declared, to: UTF8 }] : []),
    ...wanted.map(([tag, to]) => ({ attribute: nameOf(tag), from: header.text(tag), to })),
    ...reread.map(({ tag, bytes }) => ({ attribute: nameOf(tag), from: cleanText(bytes.toString('latin1')), to: cleanText(set.decode(bytes)) })),
  ]
  const before = [...wanted.map(([tag]) => header.elements.get(tag) ?? { tag, vr: vrOf(tag), bytes: Buffer.alloc(0) }), ...reread]
  return { changes, converts, before: before.sort((a, b) => a.tag - b.tag) }
}

/**
 * A stored or landed instance with changed header values, as a Part 10 file in the same transfer syntax and with the same pixels. The former values go into
 * a new item of its Original Attributes Sequence; those that were no valid values of theirs as bytes.
 *
 * @throws {Problem} archive/unreadable, by the content.
 * @see PS3.3 C.12.1.1.9 (Original Attributes), C.12.1.1.2 (Specific Character Set)
 */
export function changedFile(file: InstanceFile, header: Header, change: HeaderChange): { readonly changes: readonly ChangedValue[]; readonly content: AsyncIterable<Uint8Array> } | undefined {
  const plan = planChange(header, change)
  if (!plan) return undefined
  const { sopClassUid, sopInstanceUid } = file.row
  return { changes: plan.changes, content: rewrittenFile(file, editorOf(header, change, plan, transferSyntax(file.transferSyntaxUid).bigEndian), { sopClassUid, sopInstanceUid }) }
}

const nameOf = (tag: number): string => keywordOf(tag) ?? tagText(tag)

function editorOf(header: Header, change: HeaderChange, plan: Plan, bigEndian: boolean): DatasetEditor {
  const set = characterSet(change.readAs ?? header.declared)
  const replaced = new Set(plan.before.map(({ tag }) => tag).filter((tag) => change.values.has(tag)))
  const items = new ItemCharacterSets()
  return {
    element: ({ tag, vr, depth }) => {
      if (depth === 0 && replaced.has(tag)) return 'drop'
      if (depth > 0 && tag === SPECIFIC_CHARACTER_SET) items.declare(depth)
      return plan.converts && isText(tag, vr) && items.inherits(depth) ? 'ask' : 'keep'
    },
    value: (_head, bytes) => Buffer.from(set.decode(bytes)),
    sequence: () => 'into',
    item: (depth) => items.begin(depth),
    added: () => [
      ...(plan.converts ? [{ tag: SPECIFIC_CHARACTER_SET, vr: 'CS', value: Buffer.from(UTF8) }] : []),
      ...[...replaced].map((tag) => ({ tag, vr: vrFor(header, tag), value: Buffer.from(change.values.get(tag) ?? '') })),
      { tag: ORIGINAL_ATTRIBUTES, vr: 'SQ', appends: true as const, value: [originals(header, change, plan, bigEndian)] },
    ],
  }
}

/** What was sent as unknown is written as what it is. */
const vrFor = (header: Header, tag: number): string => {
  const sent = header.elements.get(tag)?.vr
  return sent === undefined || sent === 'UN' ? vrOf(tag) : sent
}

/** One item of the Original Attributes Sequence. */
function originals(header: Header, { reason, by, source, at }: HeaderChange, plan: Plan, bigEndian: boolean): NewElement[] {
  const conforming = plan.before.filter((element) => isConforming(header, element))
  const others = plan.before.filter((element) => !conforming.includes(element))
  const text = (tag: number, vr: string, value: string): NewElement => ({ tag, vr, value: Buffer.from(value) })
  const charset = plan.converts && header.declared !== '' ? [text(SPECIFIC_CHARACTER_SET, 'CS', header.declared)] : []
  const modified = [...charset, ...conforming.map(({ tag, vr, bytes }) => ({ tag, vr, value: bytes }))]
  return [
    { tag: 0x04000550, vr: 'SQ', value: [modified] },
    ...(others.length === 0 ? [] : [{ tag: 0x04000551, vr: 'SQ', value: others.map((element) => nonconforming(element, bigEndian)) }]),
    text(0x04000562, 'DT', `${new Date(at).toISOString().replaceAll(/[-T:Z]/g, '').slice(0, 18)}000+0000`),
    text(0x04000563, 'LO', `LIANPIAN ${by.replaceAll(/[^\x20-\x5b\x5d-\x7e]/g, '')}`.trim().slice(0, 64)),
    text(0x04000564, 'LO', source.replaceAll(/[^\x20-\x5b\x5d-\x7e]/g, '').slice(0, 64)),
    text(0x04000565, 'CS', reason),
  ]
}

/** (0400,0551): a value that its VR or the declared character set does not allow, byte for byte. */
function nonconforming({ tag, bytes }: HeaderElement, bigEndian: boolean): NewElement[] {
  const selector = Buffer.alloc(4)
  const number = Buffer.alloc(2)
  if (bigEndian) {
    selector.writeUInt16BE(tag >>> 16, 0)
    selector.writeUInt16BE(tag & 0xffff, 2)
    number.writeUInt16BE(1)
  } else {
    selector.writeUInt16LE(tag >>> 16, 0)
    selector.writeUInt16LE(tag & 0xffff, 2)
    number.writeUInt16LE(1)
  }
  return [
    { tag: 0x00720026, vr: 'AT', value: selector },
    { tag: 0x00720028, vr: 'US', value: number },
    { tag: 0x04000552, vr: 'OB', value: bytes },
  ]
}

/** PS3.5 6.2: as far as the changes that rules make need it. */
const forms: Readonly<Record<string, RegExp>> = {
  DA: /^(?:\d{8}(?:\\\d{8})*)? *$/,
  TM: /^(?:\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)? *$/,
  AS: /^(?:\d{3}[DWMY])? *$/,
  CS: /^[A-Z0-9 _\\]*$/,
  UI: /^[\d.\\\0]*$/,
  IS: /^ *(?:[+-]?\d+(?:\\ *[+-]?\d+ *)*)? *$/,
}
const longest: Readonly<Record<string, number>> = { LO: 64, SH: 16, CS: 16, PN: 64 }

function isConforming(header: Header, { tag, vr, bytes }: HeaderElement): boolean {
  const plain = bytes.toString('latin1').replace(/[\0 ]+$/, '')
  if (forms[vr] && !forms[vr].test(plain)) return false
  if (!isText(tag, vr)) return true
  if (header.declared === '' && !isAscii(bytes)) return false
  const limit = longest[vr]
  return limit === undefined || characterSet(header.declared).decode(bytes).split(vr === 'PN' ? /[\\=]/ : '\\').every((value) => [...value.trim()].length <= limit) // prettier-ignore
}
