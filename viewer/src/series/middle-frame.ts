import type { DisplaySet, ImageFrame } from './image-frame.ts'

/** The picture that stands for a series in the list: its middle shows more than its edge; a clip is known by its first. */
export function middleFrame(set: DisplaySet): ImageFrame {
  const frame = set.frames[set.kind === 'stack' ? Math.floor(set.frames.length / 2) : 0]
  if (!frame) throw new Error(`display set ${set.id} has no pictures`)
  return frame
}
