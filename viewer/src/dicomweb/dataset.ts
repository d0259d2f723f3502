/**
 * Reading of DICOM JSON (PS3.18 F). Values come from many devices, so numbers may arrive as text and anything may be
 * missing; readers answer `undefined` or '' instead of throwing, because one odd element must not hide an image.
 */
export interface Element {
  readonly vr?: string
  readonly Value?: readonly unknown[]
  readonly BulkDataURI?: string
  readonly InlineBinary?: string
}
export type Dataset = Readonly<Record<string, Element | undefined>>

/** The elements we read, by keyword (PS3.6). */
export const tags = {
  imageType: '00080008',
  sopClassUid: '00080016',
  sopInstanceUid: '00080018',
  studyDate: '00080020',
  seriesDate: '00080021',
  studyTime: '00080030',
  accessionNumber: '00080050',
  modality: '00080060',
  manufacturer: '00080070',
  institutionName: '00080080',
  studyDescription: '00081030',
  seriesDescription: '0008103E',
  referencedSeriesSequence: '00081115',
  referencedSopClassUid: '00081150',
  referencedSopInstanceUid: '00081155',
  referencedFrameNumber: '00081160',
  referencedSopSequence: '00081199',
  recommendedDisplayFrameRate: '00082144',
  codeValue: '00080100',
  codingSchemeDesignator: '00080102',
  codeMeaning: '00080104',
  patientName: '00100010',
  patientId: '00100020',
  patientBirthDate: '00100030',
  patientSex: '00100040',
  patientAge: '00101010',
  bodyPartExamined: '00180015',
  cineRate: '00180040',
  sliceThickness: '00180050',
  kvp: '00180060',
  spacingBetweenSlices: '00180088',
  frameTime: '00181063',
  magnificationFactor: '00181114',
  imagerPixelSpacing: '00181164',
  nominalScannedPixelSpacing: '00182010',
  ultrasoundRegions: '00186011',
  regionSpatialFormat: '00186012',
  regionMinX: '00186018',
  regionMinY: '0018601A',
  regionMaxX: '0018601C',
  regionMaxY: '0018601E',
  regionUnitsX: '00186024',
  regionUnitsY: '00186026',
  regionDeltaX: '0018602C',
  regionDeltaY: '0018602E',
  studyInstanceUid: '0020000D',
  seriesInstanceUid: '0020000E',
  seriesNumber: '00200011',
  instanceNumber: '00200013',
  patientOrientation: '00200020',
  imagePosition: '00200032',
  imageOrientation: '00200037',
  laterality: '00200060',
  imageLaterality: '00200062',
  sliceLocation: '00201041',
  seriesInstances: '00201209',
  samplesPerPixel: '00280002',
  photometricInterpretation: '00280004',
  numberOfFrames: '00280008',
  rows: '00280010',
  columns: '00280011',
  pixelSpacing: '00280030',
  pixelAspectRatio: '00280034',
  pixelSpacingCalibrationType: '00280A02',
  bitsAllocated: '00280100',
  bitsStored: '00280101',
  pixelRepresentation: '00280103',
  windowCenter: '00281050',
  windowWidth: '00281051',
  rescaleIntercept: '00281052',
  rescaleSlope: '00281053',
  rescaleType: '00281054',
  windowExplanation: '00281055',
  lossyImageCompression: '00282110',
  modalityLutSequence: '00283000',
  valueType: '0040A040',
  conceptName: '0040A043',
  textValue: '0040A160',
  evidenceSequence: '0040A375',
  contentSequence: '0040A730',
  planePosition: '00209113',
  planeOrientation: '00209116',
  pixelMeasures: '00289110',
  sharedFunctionalGroups: '52009229',
  perFrameFunctionalGroups: '52009230',
} as const

/** Text of the value at `index`, trimmed; '' when it is absent. */
export function text(dataset: Dataset, tag: string, index = 0): string {
  const value = dataset[tag]?.Value?.[index]
  return typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : ''
}

export function texts(dataset: Dataset, tag: string): string[] {
  return (dataset[tag]?.Value ?? []).map((_, index) => text(dataset, tag, index))
}

export function number(dataset: Dataset, tag: string, index = 0): number | undefined {
  const value = dataset[tag]?.Value?.[index]
  const parsed = typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN
  return Number.isFinite(parsed) ? parsed : undefined
}

/** All values as numbers, or `undefined` unless there are `count` of them and each is a number. */
export function numbers(dataset: Dataset, tag: string, count: number): readonly number[] | undefined {
  const values: number[] = []
  for (let index = 0; index < count; index++) {
    const value = number(dataset, tag, index)
    if (value === undefined) return undefined
    values.push(value)
  }
  return values
}

/** Items of a sequence. */
export function items(dataset: Dataset, tag: string): readonly Dataset[] {
  return (dataset[tag]?.Value ?? []).filter((item): item is Dataset => typeof item === 'object' && item !== null)
}

/** A person's name as it is read: the ideographic group if there is one (张三), else the alphabetic one without carets (PS3.5 6.2.1). */
export function personName(dataset: Dataset, tag: string): string {
  const value = dataset[tag]?.Value?.[0]
  const groups = typeof value === 'string' ? value.split('=') : isNameGroups(value) ? [value.Alphabetic ?? '', value.Ideographic ?? ''] : []
  const chosen = groups[1]?.trim() || groups[0]?.trim() || ''
  return chosen
    .split('^')
    .filter(Boolean)
    .join(/[\u3400-\u9fff]/.test(chosen) ? '' : ' ')
}

function isNameGroups(value: unknown): value is { Alphabetic?: string; Ideographic?: string } {
  return typeof value === 'object' && value !== null
}
