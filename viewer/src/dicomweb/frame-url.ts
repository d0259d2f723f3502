import { parseSeriesInstanceUid, parseSopInstanceUid, parseStudyInstanceUid } from 'specs'

/** Where a picture is: UIDs as DICOM has them; `frame` counts from 1. */
export interface FrameAddress {
  readonly studyInstanceUid: string
  readonly seriesInstanceUid: string
  readonly sopInstanceUid: string
  readonly frame: number
}

/** Parts of a path; a UID that could be a path is refused (PS3.5 9.1). */
function instancePath({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Omit<FrameAddress, 'frame'>): string {
  const [study, series, instance] = [
    parseStudyInstanceUid(studyInstanceUid),
    parseSeriesInstanceUid(seriesInstanceUid),
    parseSopInstanceUid(sopInstanceUid),
  ]
  return `studies/${study}/series/${series}/instances/${instance}`
}

/** Cornerstone's name of a frame: the loader, then the address it loads (WADO-RS RetrieveFrames, PS3.18 10.4). */
export function imageIdOf(root: string, address: FrameAddress): string {
  return `wadors:${root}/${instancePath(address)}/frames/${address.frame}`
}

/** A small picture drawn by the archive (PS3.18 10.4.1.1.5). */
export function thumbnailUrl(root: string, address: FrameAddress): string {
  return `${root}/${instancePath(address)}/frames/${address.frame}/thumbnail`
}
