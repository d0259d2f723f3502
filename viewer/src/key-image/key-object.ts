import { items, number, tags, text, type Dataset } from '../dicomweb/dataset.ts'

/** A Key Object Selection as a note: why, which pictures (PS3.3 A.35.4, template TID 2010). */
export interface KeyObjectNote {
  readonly sopInstanceUid: string
  /** Document title, for instance "Of Interest". */
  readonly title: string
  readonly description: string
  readonly images: readonly { readonly sopInstanceUid: string; readonly frame?: number }[]
}

const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59'
const KEY_OBJECT_DESCRIPTION = '113012' // DCM

export function isKeyObject(dataset: Dataset): boolean {
  return text(dataset, tags.sopClassUid) === KEY_OBJECT_SELECTION
}

export function readKeyObject(dataset: Dataset): KeyObjectNote {
  const content = items(dataset, tags.contentSequence)
  const images = content
    .filter((item) => text(item, tags.valueType) === 'IMAGE')
    .flatMap((item) => items(item, tags.referencedSopSequence).flatMap(picturesOf))
  const description = content
    .filter((item) => text(item, tags.valueType) === 'TEXT' && conceptOf(item)?.code === KEY_OBJECT_DESCRIPTION)
    .map((item) => text(item, tags.textValue))
  return {
    sopInstanceUid: text(dataset, tags.sopInstanceUid),
    title: conceptOf(dataset)?.meaning ?? '',
    description: description.filter(Boolean).join('\n'),
    images,
  }
}

function conceptOf(item: Dataset): { code: string; meaning: string } | undefined {
  const concept = items(item, tags.conceptName)[0]
  return concept && { code: text(concept, tags.codeValue), meaning: text(concept, tags.codeMeaning) }
}

/** A reference may name several frames; without any it means the whole instance. */
function picturesOf(reference: Dataset): { sopInstanceUid: string; frame?: number }[] {
  const sopInstanceUid = text(reference, tags.referencedSopInstanceUid)
  const count = reference[tags.referencedFrameNumber]?.Value?.length ?? 0
  if (sopInstanceUid === '') return []
  if (count === 0) return [{ sopInstanceUid }]
  return Array.from({ length: count }, (_, index) => number(reference, tags.referencedFrameNumber, index))
    .filter((frame) => frame !== undefined)
    .map((frame) => ({ sopInstanceUid, frame }))
}
