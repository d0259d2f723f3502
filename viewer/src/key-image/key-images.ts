import { KeyImage } from 'specs'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'

/** The frame as a key image; a frame number is named only in a multi-frame instance (PS3.3 Table 10-3). */
export function keyImageOf(frame: ImageFrame): KeyImage {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid, sopClassUid } = frame
  return KeyImage.parse({
    studyInstanceUid,
    seriesInstanceUid,
    sopInstanceUid,
    sopClassUid,
    ...(frame.isMultiFrame && { frame: frame.frame }),
  })
}

/** Names a picture in a key image or a Key Object Selection. */
export interface PictureName {
  readonly sopInstanceUid: string
  readonly frame?: number | undefined
}

export function isSamePicture(key: PictureName, frame: Pick<ImageFrame, 'sopInstanceUid' | 'frame' | 'isMultiFrame'>): boolean {
  return key.sopInstanceUid === frame.sopInstanceUid && (!frame.isMultiFrame || (key.frame ?? 1) === frame.frame)
}

/** Marks the picture, or takes its mark away. */
export function toggleKeyImage(keys: readonly KeyImage[], frame: ImageFrame): readonly KeyImage[] {
  const rest = keys.filter((key) => !isSamePicture(key, frame))
  return rest.length < keys.length ? rest : [...keys, keyImageOf(frame)]
}

/** Sets the note of one key image; an empty note is no note. */
export function withNote(keys: readonly KeyImage[], index: number, note: string): readonly KeyImage[] {
  return keys.map((key, at) => {
    if (at !== index) return key
    const { note: _old, ...bare } = key
    // Kept as typed: a space taken away at once could never be followed by a word.
    return note.trim() === '' ? bare : { ...bare, note: note.slice(0, 200) }
  })
}

/** Where a key image is among the loaded pictures. */
export function findKeyImage(key: PictureName, sets: readonly DisplaySet[]): { set: DisplaySet; index: number } | undefined {
  for (const set of sets) {
    const index = set.frames.findIndex((frame) => isSamePicture(key, frame))
    if (index >= 0) return { set, index }
  }
  return undefined
}

/** The marked pictures of all series as one stack, in the order of the marks; each picture once. */
export function keyImageSet(keys: readonly PictureName[], sets: readonly DisplaySet[]): DisplaySet | undefined {
  const frames: ImageFrame[] = []
  for (const key of keys) {
    const found = findKeyImage(key, sets)
    const frame = found?.set.frames[found.index]
    if (frame && !frames.includes(frame)) frames.push(frame)
  }
  const first = frames[0]
  if (!first) return undefined
  return {
    id: 'key-images',
    seriesInstanceUid: first.seriesInstanceUid,
    modality: 'KO',
    seriesNumber: undefined,
    description: '',
    kind: 'key-images',
    frames,
    frameRate: undefined,
  }
}
