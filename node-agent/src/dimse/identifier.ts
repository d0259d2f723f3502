import { type Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { type AnswerCharset, readDataSet, writeDataSet } from '../dicom/data-set.ts'
import { keywordOf } from '../dicom/dictionary.ts'

export type { AnswerCharset } from '../dicom/data-set.ts'

/** What a query asks: which keys with which text, and in which elements the answers shall come. */
export interface Identifier {
  /** DICOM keyword → text, decoded, without padding; several values joined by backslash, '' for universal matching. */
  readonly keys: Readonly<Record<string, string>>
  /** Every top-level element of the request, private and unknown ones too: they are answered empty. */
  readonly requested: readonly RequestedElement[]
}

export interface RequestedElement {
  readonly tag: number
  readonly vr: string
  readonly keyword: string | undefined
}

const MAX_KEYS = 512

/**
 * Reads the identifier of a C-FIND-RQ, C-MOVE-RQ or C-GET-RQ.
 * @throws {Problem} archive/unreadable (0xC000, unable to process) when it is no data set in that syntax.
 */
export function decodeIdentifier(bytes: Buffer, transferSyntaxUid: string): Identifier {
  const elements = new Map(readDataSet(bytes, transferSyntaxUid).map((element) => [element.tag, element]))
  if (elements.size > MAX_KEYS) throw new Problem('archive/unreadable', { reason: 'too many keys' })
  const requested = [...elements.values()].map(({ tag, vr }) => ({ tag, vr, keyword: keywordOf(tag) }))
  const keys = requested.flatMap(({ tag, keyword }) => (keyword === undefined ? [] : [[keyword, elements.get(tag)?.text ?? '']]))
  return { keys: Object.fromEntries(keys), requested }
}

export interface AnswerElement {
  readonly tag: number
  readonly vr: string
  readonly text: string
}

/** A flat data set in ascending order of tags; numbers and text only, everything else is written empty. */
export function encodeIdentifier(elements: readonly AnswerElement[], transferSyntaxUid: string, charset: AnswerCharset): Buffer {
  return writeDataSet(elements, transferSyntaxUid, charset)
}
