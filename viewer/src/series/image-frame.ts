import type { Dataset } from '../dicomweb/dataset.ts'

/** One picture that can be shown: an instance, or one frame of it. */
export interface ImageFrame {
  readonly studyInstanceUid: string
  readonly seriesInstanceUid: string
  readonly sopInstanceUid: string
  readonly sopClassUid: string
  /** From 1; 1 in a single-frame instance. */
  readonly frame: number
  readonly isMultiFrame: boolean
  readonly instanceNumber: number | undefined
  readonly dataset: Dataset
}

/** Pictures that are scrolled together in one viewport. */
export interface DisplaySet {
  readonly id: string
  readonly seriesInstanceUid: string
  readonly modality: string
  readonly seriesNumber: number | undefined
  readonly description: string
  /** `clip` plays at its own rate (cine), `stack` is scrolled, `key-images` gathers marked pictures of several series. */
  readonly kind: 'stack' | 'clip' | 'key-images'
  readonly frames: readonly ImageFrame[]
  /** Frames per second the acquisition asks for. */
  readonly frameRate: number | undefined
}

/** Something in the study that is not a picture: report, document, structure. Listed, never drawn. */
export interface StudyDocument {
  readonly seriesInstanceUid: string
  readonly sopInstanceUid: string
  readonly sopClassUid: string
  readonly modality: string
  readonly description: string
  readonly dataset: Dataset
}
