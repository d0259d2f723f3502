import { number, tags, text, type Dataset } from '../dicomweb/dataset.ts'
import type { DisplaySet, ImageFrame, StudyDocument } from './image-frame.ts'
import { sortFrames } from './sort.ts'

export interface SeriesContent {
  readonly displaySets: readonly DisplaySet[]
  readonly documents: readonly StudyDocument[]
}

/**
 * What one series shows: its single pictures as one stack, every multi-frame instance as a clip of its own (a series of
 * ultrasound holds several runs), everything without pixels as a document.
 *
 * @param instances Metadata of the series (WADO-RS), in any order.
 */
export function contentOfSeries(instances: readonly Dataset[]): SeriesContent {
  const singles: ImageFrame[] = []
  const clips: DisplaySet[] = []
  const documents: StudyDocument[] = []
  for (const dataset of instances) {
    if (!isPicture(dataset)) documents.push(documentOf(dataset))
    else if (frameCount(dataset) > 1) clips.push(clipOf(dataset))
    else singles.push(frameOf(dataset, 1, false))
  }
  clips.sort((a, b) => (a.frames[0]?.instanceNumber ?? 0) - (b.frames[0]?.instanceNumber ?? 0))
  const first = singles[0]
  const stack: DisplaySet[] = first
    ? [
        {
          ...describe(first.dataset),
          id: first.seriesInstanceUid,
          kind: 'stack',
          frames: sortFrames(singles),
          frameRate: frameRateOf(first.dataset),
        },
      ]
    : []
  return { displaySets: [...stack, ...clips], documents }
}

/** Non-image classes and modalities: what carries Rows yet is no picture (segmentations, dose) is left to its own issue. */
const notPictures = new Set([
  'KO',
  'SR',
  'PR',
  'SEG',
  'RTSTRUCT',
  'RTPLAN',
  'RTDOSE',
  'RTRECORD',
  'REG',
  'FID',
  'DOC',
  'ECG',
  'HD',
  'SMR',
  'RWV',
  'PLAN',
  'AU',
])

function isPicture(dataset: Dataset): boolean {
  const drawn = (number(dataset, tags.rows) ?? 0) > 0 && (number(dataset, tags.columns) ?? 0) > 0
  return drawn && !notPictures.has(text(dataset, tags.modality))
}

function frameCount(dataset: Dataset): number {
  return Math.max(1, Math.trunc(number(dataset, tags.numberOfFrames) ?? 1))
}

function clipOf(dataset: Dataset): DisplaySet {
  const frames = Array.from({ length: frameCount(dataset) }, (_, index) => frameOf(dataset, index + 1, true))
  const hasPlanes = dataset[tags.perFrameFunctionalGroups] !== undefined
  return {
    ...describe(dataset),
    id: text(dataset, tags.sopInstanceUid),
    kind: hasPlanes ? 'stack' : 'clip',
    frames,
    frameRate: frameRateOf(dataset),
  }
}

function frameOf(dataset: Dataset, frame: number, isMultiFrame: boolean): ImageFrame {
  return {
    studyInstanceUid: text(dataset, tags.studyInstanceUid),
    seriesInstanceUid: text(dataset, tags.seriesInstanceUid),
    sopInstanceUid: text(dataset, tags.sopInstanceUid),
    sopClassUid: text(dataset, tags.sopClassUid),
    frame,
    isMultiFrame,
    instanceNumber: number(dataset, tags.instanceNumber),
    dataset,
  }
}

function documentOf(dataset: Dataset): StudyDocument {
  const { seriesInstanceUid, modality, description } = describe(dataset)
  return {
    seriesInstanceUid,
    modality,
    description,
    sopInstanceUid: text(dataset, tags.sopInstanceUid),
    sopClassUid: text(dataset, tags.sopClassUid),
    dataset,
  }
}

function describe(dataset: Dataset): Pick<DisplaySet, 'seriesInstanceUid' | 'modality' | 'seriesNumber' | 'description'> {
  return {
    seriesInstanceUid: text(dataset, tags.seriesInstanceUid),
    modality: text(dataset, tags.modality),
    seriesNumber: number(dataset, tags.seriesNumber),
    description: text(dataset, tags.seriesDescription) || text(dataset, tags.bodyPartExamined),
  }
}

/** Recommended rate, cine rate, or the inverse of Frame Time (PS3.3 C.7.6.5). */
function frameRateOf(dataset: Dataset): number | undefined {
  const stated = number(dataset, tags.recommendedDisplayFrameRate) ?? number(dataset, tags.cineRate)
  if (stated !== undefined && stated > 0) return stated
  const frameTimeMs = number(dataset, tags.frameTime)
  return frameTimeMs !== undefined && frameTimeMs > 0 ? 1_000 / frameTimeMs : undefined
}
