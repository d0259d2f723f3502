import type { Buffer } from 'node:buffer'
import type { InstanceFile } from '../archive/archive.ts'
import { characterSet, cleanText, textVrs } from './character-set.ts'
import type { DatasetVisitor, ElementHead } from './dataset-scanner.ts'
import { scanHeader } from './dataset-stream.ts'
import { vrOf } from './dictionary.ts'

export const SPECIFIC_CHARACTER_SET = 0x00080005
/** Longer values are not looked at: no text of one line is that long. */
const LONGEST = 16 * 1024

export interface HeaderElement {
  readonly tag: number
  readonly vr: string
  readonly bytes: Buffer
}

/** The top level of a header with its bytes, so that rules can judge what was sent and not what we understood. */
export interface Header {
  readonly elements: ReadonlyMap<number, HeaderElement>
  /** Specific Character Set as declared, '' when absent. */
  readonly declared: string
  /** Bytes of texts that follow the declared character set and are not ASCII, at any depth. */
  readonly foreign: readonly Buffer[]
  /** A top-level value, decoded and without padding; '' when absent. */
  text(tag: number): string
}

/** Which items have a character set of their own, so that nothing in them follows the dataset's (PS3.3 C.12.1.1.2). */
export class ItemCharacterSets {
  readonly #own: boolean[] = []
  begin(depth: number): void {
    this.#own.length = depth
    this.#own[depth] = false
  }
  declare(depth: number): void {
    this.#own[depth] = true
  }
  inherits(depth: number): boolean {
    return !this.#own.slice(1, depth + 1).some((own) => own)
  }
}

export const isText = (tag: number, vr: string): boolean => textVrs.has(vr === 'UN' ? vrOf(tag) : vr) && vr !== 'UN'
export const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80 && byte !== 0x1b)

/** @throws {Problem} archive/unreadable */
export async function readHeader(file: InstanceFile): Promise<Header> {
  const elements = new Map<number, HeaderElement>()
  const foreign: Buffer[] = []
  const items = new ItemCharacterSets()
  let depth = 0
  const visitor: DatasetVisitor = {
    element: ({ tag, vr, length = 0, depth: at }: ElementHead) => length <= LONGEST && (at === 0 || tag === SPECIFIC_CHARACTER_SET || isText(tag, vr)),
    value({ tag, vr, depth: at }, bytes) {
      if (at === 0) elements.set(tag, { tag, vr, bytes })
      else if (tag === SPECIFIC_CHARACTER_SET) items.declare(at)
      if (isText(tag, vr) && items.inherits(at) && !isAscii(bytes)) foreign.push(bytes)
    },
    startSequence: () => void (depth += 1),
    startItem: () => items.begin(depth),
    endSequence: () => void (depth -= 1),
  }
  await scanHeader(file, visitor)
  const declared = cleanText(elements.get(SPECIFIC_CHARACTER_SET)?.bytes.toString('latin1') ?? '')
  const set = characterSet(declared)
  return {
    elements,
    declared,
    foreign,
    text(tag) {
      const found = elements.get(tag)
      if (!found) return ''
      return cleanText(isText(tag, found.vr) ? set.decode(found.bytes) : found.bytes.toString('latin1'))
    },
  }
}
