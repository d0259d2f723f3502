import { tagOf } from '../dicom/dictionary.ts'

export type Level = 'patient' | 'study' | 'series' | 'instance'

/** An attribute the index keeps in a typed column, so that it can be matched, sorted and returned without opening files. */
export interface Attribute {
  readonly level: Level
  /** DICOM keyword; the member of our rows is the same in camelCase. */
  readonly keyword: string
  readonly tag: number
  readonly vr: string
  readonly column: string
  readonly member: string
  readonly sqlType: 'TEXT' | 'INTEGER'
}

/** `StudyInstanceUID` → `studyInstanceUid`, `PatientID` → `patientId`. */
function memberOf(keyword: string): string {
  const name = keyword.replace(/UID/g, 'Uid').replace(/SOP/g, 'Sop').replace(/ID/g, 'Id')
  return name.charAt(0).toLowerCase() + name.slice(1)
}

function attribute(level: Level, keyword: string, vr: string): Attribute {
  const tag = tagOf(keyword)
  if (tag === undefined) throw new Error(`${keyword} is not in the dictionary`)
  const member = memberOf(keyword)
  const column = member.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  return { level, keyword, tag, vr, column, member, sqlType: vr === 'US' || keyword === 'NumberOfFrames' ? 'INTEGER' : 'TEXT' }
}

/**
 * What is indexed: all keys that PS3.4 C.6 requires and those PS3.18 10.6 (QIDO-RS) lists, plus what our pages show.
 * The one place to add a column (and a migration).
 */
export const attributes: readonly Attribute[] = [
  attribute('patient', 'PatientID', 'LO'),
  attribute('patient', 'IssuerOfPatientID', 'LO'),
  attribute('patient', 'PatientName', 'PN'),
  attribute('patient', 'PatientBirthDate', 'DA'),
  attribute('patient', 'PatientSex', 'CS'),
  attribute('study', 'StudyInstanceUID', 'UI'),
  attribute('study', 'StudyDate', 'DA'),
  attribute('study', 'StudyTime', 'TM'),
  attribute('study', 'AccessionNumber', 'SH'),
  attribute('study', 'StudyID', 'SH'),
  attribute('study', 'StudyDescription', 'LO'),
  attribute('study', 'ReferringPhysicianName', 'PN'),
  attribute('study', 'InstitutionName', 'LO'),
  attribute('study', 'PatientAge', 'AS'),
  attribute('series', 'SeriesInstanceUID', 'UI'),
  attribute('series', 'Modality', 'CS'),
  attribute('series', 'SeriesNumber', 'IS'),
  attribute('series', 'SeriesDescription', 'LO'),
  attribute('series', 'SeriesDate', 'DA'),
  attribute('series', 'SeriesTime', 'TM'),
  attribute('series', 'BodyPartExamined', 'CS'),
  attribute('series', 'Laterality', 'CS'),
  attribute('series', 'ProtocolName', 'LO'),
  attribute('series', 'Manufacturer', 'LO'),
  attribute('series', 'ManufacturerModelName', 'LO'),
  attribute('series', 'StationName', 'SH'),
  attribute('series', 'PerformedProcedureStepStartDate', 'DA'),
  attribute('series', 'PerformedProcedureStepStartTime', 'TM'),
  attribute('instance', 'SOPInstanceUID', 'UI'),
  attribute('instance', 'SOPClassUID', 'UI'),
  attribute('instance', 'InstanceNumber', 'IS'),
  attribute('instance', 'ContentDate', 'DA'),
  attribute('instance', 'ContentTime', 'TM'),
  attribute('instance', 'ImageType', 'CS'),
  attribute('instance', 'Rows', 'US'),
  attribute('instance', 'Columns', 'US'),
  attribute('instance', 'BitsAllocated', 'US'),
  attribute('instance', 'NumberOfFrames', 'IS'),
]

export const attributesOf = (level: Level): readonly Attribute[] => attributes.filter((attribute) => attribute.level === level)
const byKeyword = new Map(attributes.map((attribute) => [attribute.keyword, attribute]))
export const attributeByKeyword = (keyword: string): Attribute | undefined => byKeyword.get(keyword)

/** The indexed values of one instance, by member name; '' when absent. */
export type IndexedValues = Readonly<Record<string, string>>
