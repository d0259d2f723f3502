import { KeyImage, Problem } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { tagOf, tagText } from '../dicom/dictionary.ts'
import { readHeader } from '../dicom/read-metadata.ts'
import { KEY_OBJECT_SELECTION } from './build.ts'
import { concepts, type Code } from './code.ts'

export interface KeyObjectSelection {
  readonly title: Code | undefined
  readonly author: string
  readonly description: string
  readonly keyImages: readonly KeyImage[]
}

/** Reads a stored Key Object Selection Document, ours or anybody's. @throws {Problem} archive/unreadable when it is none. */
export async function readKeyObjectSelection(file: InstanceFile): Promise<KeyObjectSelection> {
  if (file.row.sopClassUid !== KEY_OBJECT_SELECTION)
    throw new Problem('archive/unreadable', { reason: 'not a key object selection', sopClassUid: file.row.sopClassUid })
  return keyObjectOf(await readHeader(file))
}

/** The same from a dataset in DICOM JSON. References that are incomplete are left out: nothing could be opened by them. */
export function keyObjectOf(dataset: JsonDataset): KeyObjectSelection {
  const homes = evidence(dataset)
  const content = items(dataset, 'ContentSequence')
  const textOf = (concept: Code, member: string) =>
    content.filter((each) => codeOf(each)?.value === concept.value).map((each) => text(each, member))
  return {
    title: codeOf(dataset),
    author: textOf(concepts.personObserverName, 'PersonName')[0] ?? '',
    description: textOf(concepts.description, 'TextValue').join('\n'),
    keyImages: content
      .filter((each) => ['IMAGE', 'COMPOSITE', 'WAVEFORM'].includes(text(each, 'ValueType')))
      .flatMap((each) => items(each, 'ReferencedSOPSequence').flatMap((reference) => keyImage(reference, homes))),
  }
}

interface Home {
  readonly studyInstanceUid: string
  readonly seriesInstanceUid: string
}

function evidence(dataset: JsonDataset): Map<string, Home> {
  const homes = new Map<string, Home>()
  for (const study of items(dataset, 'CurrentRequestedProcedureEvidenceSequence')) {
    for (const series of items(study, 'ReferencedSeriesSequence')) {
      for (const instance of items(series, 'ReferencedSOPSequence')) {
        homes.set(text(instance, 'ReferencedSOPInstanceUID'), {
          studyInstanceUid: text(study, 'StudyInstanceUID'),
          seriesInstanceUid: text(series, 'SeriesInstanceUID'),
        })
      }
    }
  }
  return homes
}

function keyImage(reference: JsonDataset, homes: Map<string, Home>): KeyImage[] {
  const sopInstanceUid = text(reference, 'ReferencedSOPInstanceUID')
  const frame = Number(text(reference, 'ReferencedFrameNumber'))
  const found = KeyImage.safeParse({
    ...homes.get(sopInstanceUid),
    sopInstanceUid,
    sopClassUid: text(reference, 'ReferencedSOPClassUID'),
    ...(frame > 0 && { frame }),
  })
  return found.success ? [found.data] : []
}

function attribute(dataset: JsonDataset, keyword: string): JsonDataset[string] | undefined {
  const tag = tagOf(keyword)
  return tag === undefined ? undefined : dataset[tagText(tag)]
}

const items = (dataset: JsonDataset, keyword: string): JsonDataset[] =>
  (attribute(dataset, keyword)?.Value ?? []).filter((value): value is JsonDataset => typeof value === 'object' && value !== null)

function text(dataset: JsonDataset, keyword: string): string {
  const value = attribute(dataset, keyword)?.Value?.[0]
  if (typeof value === 'object' && value !== null) return String(Object.values(value)[0] ?? '')
  return value === undefined || value === null ? '' : String(value)
}

function codeOf(dataset: JsonDataset): Code | undefined {
  const [code] = items(dataset, 'ConceptNameCodeSequence')
  return code && { value: text(code, 'CodeValue'), scheme: text(code, 'CodingSchemeDesignator'), meaning: text(code, 'CodeMeaning') }
}
