import { attributesOf, type Level } from '../archive/attributes.ts'
import type { InstanceRow, SeriesRow, StudyRow } from '../archive/archive.ts'
import { personName, type JsonDataset } from '../dicom/dicom-json.ts'
import { tagText } from '../dicom/dictionary.ts'

/** Rows as DICOM JSON objects, as QIDO-RS answers (PS3.18 10.6.3.3). */
export function studyJson(study: StudyRow): JsonDataset {
  return {
    ...indexed('patient', study),
    ...indexed('study', study),
    '00080056': text('CS', 'ONLINE'),
    '00080061': texts('CS', study.modalitiesInStudy),
    '00080062': texts('UI', study.sopClassesInStudy),
    '00081190': text('UR', `/dicom-web/studies/${study.studyInstanceUid}`),
    '00201206': count(study.seriesCount),
    '00201208': count(study.instanceCount),
  }
}

export function seriesJson(series: SeriesRow): JsonDataset {
  return {
    ...indexed('series', series),
    '0020000D': text('UI', series.studyInstanceUid),
    '00081190': text('UR', `/dicom-web/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}`),
    '00201209': count(series.instanceCount),
  }
}

export function instanceJson(instance: InstanceRow): JsonDataset {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = instance
  return {
    ...indexed('instance', instance),
    '0020000D': text('UI', studyInstanceUid),
    '0020000E': text('UI', seriesInstanceUid),
    '00080056': text('CS', 'ONLINE'),
    '00083002': text('UI', instance.transferSyntaxUid),
    '00081190': text('UR', `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`),
  }
}

function indexed(level: Level, row: object): JsonDataset {
  const values = new Map<string, unknown>(Object.entries(row))
  return Object.fromEntries(attributesOf(level).map(({ tag, vr, member }) => [tagText(tag), attribute(vr, values.get(member))]))
}

function attribute(vr: string, value: unknown): JsonDataset[string] {
  if (value === undefined || value === null || value === '') return { vr }
  if (typeof value === 'number') return { vr, Value: [value] }
  const parts = String(value).split('\\')
  if (vr === 'PN') return { vr, Value: parts.map((part) => personName(part)) }
  if (vr === 'IS') return { vr, Value: parts.map((part) => (/^[+-]?\d{1,12}$/.test(part) ? Number(part) : part)) }
  return { vr, Value: parts.map((part) => (part === '' ? null : part)) }
}

const text = (vr: string, value: string): JsonDataset[string] => ({ vr, Value: [value] })
const texts = (vr: string, values: readonly string[]): JsonDataset[string] => (values.length === 0 ? { vr } : { vr, Value: [...values] })
const count = (value: number): JsonDataset[string] => ({ vr: 'IS', Value: [value] })
