import { Buffer } from 'node:buffer'
import type { KeyImage } from 'specs'
import type { StudyRow } from '../archive/archive.ts'
import { DicomDict, DicomMetaDictionary } from '../dicom/dcmjs-data.ts'
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { EXPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { newUid } from '../dicom/uid.ts'
import { concepts, keyObjectTitles, type Code } from './code.ts'

export const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59'

/** Patient and study as the document shall name them: those of the images, so that it is filed beside them. */
export type KeyObjectStudy = Pick<
  StudyRow,
  | 'studyInstanceUid'
  | 'patientId'
  | 'issuerOfPatientId'
  | 'patientName'
  | 'patientBirthDate'
  | 'patientSex'
  | 'studyDate'
  | 'studyTime'
  | 'accessionNumber'
  | 'studyId'
  | 'studyDescription'
  | 'referringPhysicianName'
>

export interface KeyObjectInput {
  readonly study: KeyObjectStudy
  /** At least one; those of other studies are listed as evidence as well. */
  readonly keyImages: readonly KeyImage[]
  /** PS3.16 CID 7010; 113000 Of Interest unless told. */
  readonly title?: Code
  readonly author: { readonly name: string; readonly organisation: string }
  /** Shown with the selection; notes of single images are added to it, because TID 2010 has one description only. */
  readonly description: string
  readonly at: Date
  readonly seriesNumber?: number
  readonly uids?: { readonly seriesInstanceUid: string; readonly sopInstanceUid: string }
}

type Item = Record<string, unknown>

/**
 * Writes a Key Object Selection Document as a Part 10 file, explicit VR little endian, UTF-8.
 *
 * @throws {RangeError} without any key image: such a document is not allowed.
 * @see PS3.3 A.35.4 (IOD), C.17.6 (modules), PS3.16 TID 2010
 */
export function buildKeyObjectSelection(input: KeyObjectInput): Buffer {
  if (input.keyImages.length === 0) throw new RangeError('a key object selection names at least one image')
  const { study, author, at, title = keyObjectTitles.ofInterest } = input
  const { seriesInstanceUid, sopInstanceUid } = input.uids ?? { seriesInstanceUid: newUid(), sopInstanceUid: newUid() }
  const { date, time, zone } = dicomDateTime(at)
  const dataset = {
    // SOP Common
    SpecificCharacterSet: 'ISO_IR 192',
    InstanceCreationDate: date,
    InstanceCreationTime: time,
    SOPClassUID: KEY_OBJECT_SELECTION,
    SOPInstanceUID: sopInstanceUid,
    TimezoneOffsetFromUTC: zone,
    // Patient and General Study: type 2, so present even when empty
    PatientName: study.patientName,
    PatientID: study.patientId,
    ...(study.issuerOfPatientId && { IssuerOfPatientID: study.issuerOfPatientId }),
    PatientBirthDate: study.patientBirthDate,
    PatientSex: study.patientSex,
    StudyInstanceUID: study.studyInstanceUid,
    StudyDate: study.studyDate,
    StudyTime: study.studyTime,
    AccessionNumber: study.accessionNumber,
    StudyID: study.studyId,
    ReferringPhysicianName: study.referringPhysicianName,
    ...(study.studyDescription && { StudyDescription: study.studyDescription }),
    // Key Object Document Series and General Equipment
    Modality: 'KO',
    SeriesInstanceUID: seriesInstanceUid,
    SeriesNumber: String(input.seriesNumber ?? 900),
    SeriesDescription: '关键图像 Key images',
    SeriesDate: date,
    SeriesTime: time,
    ReferencedPerformedProcedureStepSequence: [],
    Manufacturer: 'Lianpian',
    InstitutionName: author.organisation.slice(0, 64),
    ManufacturerModelName: 'Lianpian node agent',
    // Key Object Document
    InstanceNumber: '1',
    ContentDate: date,
    ContentTime: time,
    CurrentRequestedProcedureEvidenceSequence: evidence(input.keyImages),
    // SR Document Content
    ValueType: 'CONTAINER',
    ContinuityOfContent: 'SEPARATE',
    ConceptNameCodeSequence: [codeItem(title)],
    ContentTemplateSequence: [{ MappingResource: 'DCMR', TemplateIdentifier: '2010' }],
    ContentSequence: content(input),
  }
  return writePart10(dataset, sopInstanceUid)
}

function content({ author, description, keyImages }: KeyObjectInput): Item[] {
  const text = [description.trim(), ...keyImages.flatMap(({ note }, index) => (note ? [`${index + 1}. ${note}`] : []))]
    .filter(Boolean)
    .join('\r\n')
  return [
    item('HAS OBS CONTEXT', 'CODE', concepts.observerType, { ConceptCodeSequence: [codeItem(concepts.person)] }),
    item('HAS OBS CONTEXT', 'PNAME', concepts.personObserverName, { PersonName: author.name }),
    ...(author.organisation
      ? [item('HAS OBS CONTEXT', 'TEXT', concepts.personObserverOrganisation, { TextValue: author.organisation })]
      : []),
    ...(text ? [item('CONTAINS', 'TEXT', concepts.description, { TextValue: text })] : []),
    ...keyImages.map((image) => ({ RelationshipType: 'CONTAINS', ValueType: 'IMAGE', ReferencedSOPSequence: [reference(image, true)] })),
  ]
}

const item = (relationship: string, valueType: string, concept: Code, value: Item): Item => ({
  RelationshipType: relationship,
  ValueType: valueType,
  ConceptNameCodeSequence: [codeItem(concept)],
  ...value,
})

const codeItem = ({ value, scheme, meaning }: Code): Item => ({ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning })

/** Frame 1 of what has no frames is no frame number (PS3.3 Table 10-3: only for multi-frame images). */
const hasFrames = (sopClassUid: string): boolean => multiFrameClasses.has(sopClassUid)
const storage = (suffix: string) => `1.2.840.10008.5.1.4.1.1.${suffix}`
const multiFrameClasses = new Set(
  [
    '2.1',
    '2.2',
    '4.1',
    '4.3',
    '4.4',
    '3',
    '3.1',
    '6.2',
    '7.1',
    '7.2',
    '7.3',
    '7.4',
    '12.1',
    '12.1.1',
    '12.2',
    '12.2.1',
    '13.1.1',
    '13.1.2',
    '13.1.3',
    '13.1.4',
    '13.1.5',
    '14.1',
    '14.2',
    '20',
    '30',
    '66.4',
    '66.7',
    '77.1.1.1',
    '77.1.2.1',
    '77.1.4.1',
    '77.1.5.4',
    '77.1.5.8',
    '77.1.6',
    '128.1',
    '130',
    '481.2',
  ].map(storage),
)

const reference = ({ sopClassUid, sopInstanceUid, frame }: KeyImage, withFrame: boolean): Item => ({
  ReferencedSOPClassUID: sopClassUid,
  ReferencedSOPInstanceUID: sopInstanceUid,
  ...(withFrame && frame !== undefined && (frame > 1 || hasFrames(sopClassUid)) && { ReferencedFrameNumber: String(frame) }),
})

/** PS3.3 C.17.2.1: every instance that is referred to, once, by study and series. */
function evidence(keyImages: readonly KeyImage[]): Item[] {
  const studies = new Map<string, Map<string, Map<string, Item>>>()
  for (const image of keyImages) {
    const series = studies.get(image.studyInstanceUid) ?? new Map<string, Map<string, Item>>()
    const instances = series.get(image.seriesInstanceUid) ?? new Map<string, Item>()
    instances.set(image.sopInstanceUid, reference(image, false))
    studies.set(image.studyInstanceUid, series.set(image.seriesInstanceUid, instances))
  }
  return [...studies].map(([StudyInstanceUID, series]) => ({
    ReferencedSeriesSequence: [...series].map(([SeriesInstanceUID, instances]) => ({
      ReferencedSOPSequence: [...instances.values()],
      SeriesInstanceUID,
    })),
    StudyInstanceUID,
  }))
}

const digits = (value: number, width: number): string => String(value).padStart(width, '0')

/** Local date and time of this machine with its offset, as a hospital's documents have them. */
function dicomDateTime(at: Date): { date: string; time: string; zone: string } {
  const offset = -at.getTimezoneOffset()
  return {
    date: `${digits(at.getFullYear(), 4)}${digits(at.getMonth() + 1, 2)}${digits(at.getDate(), 2)}`,
    time: `${digits(at.getHours(), 2)}${digits(at.getMinutes(), 2)}${digits(at.getSeconds(), 2)}`,
    zone: `${offset < 0 ? '-' : '+'}${digits(Math.floor(Math.abs(offset) / 60), 2)}${digits(Math.abs(offset) % 60, 2)}`,
  }
}

function writePart10(dataset: Item, sopInstanceUid: string): Buffer {
  const file = new DicomDict(
    DicomMetaDictionary.denaturalizeDataset({
      FileMetaInformationVersion: Uint8Array.from([0, 1]).buffer,
      MediaStorageSOPClassUID: KEY_OBJECT_SELECTION,
      MediaStorageSOPInstanceUID: sopInstanceUid,
      TransferSyntaxUID: EXPLICIT_LE,
      ImplementationClassUID: IMPLEMENTATION_CLASS_UID,
      ImplementationVersionName: IMPLEMENTATION_VERSION_NAME,
    }),
  )
  file.dict = DicomMetaDictionary.denaturalizeDataset(dataset)
  return Buffer.from(file.write())
}
