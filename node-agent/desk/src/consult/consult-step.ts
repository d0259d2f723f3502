import type { ConsultDetail, ConsultRow, KeyImage } from 'specs'

export interface Rights {
  claim: boolean
  read: boolean
  release: boolean
  decline: boolean
  cancel: boolean
  /** Look at the images without working on the case: a colleague of the holder may, another hospital may not. */
  view: boolean
  /** Bring the images here ahead of reading (CON-13). */
  fetch: boolean
  /** Somebody else holds it: look, do not touch (COR-15). */
  heldByOther: boolean
}

/** What this person may press now. The hub decides in the end; the page only offers what can succeed. */
export function rightsOf(consult: Pick<ConsultRow, 'side' | 'state' | 'holder' | 'pending' | 'images'>, user: { id: string; hospitalId: string; expert: boolean; doctor: boolean }): Rights {
  const mine = consult.holder !== null && consult.holder.userId === user.id && consult.holder.hospitalId === user.hospitalId
  const processing = consult.side === 'processor' && user.expert
  const held = consult.state === 'accepted' || consult.state === 'started'
  const free = consult.pending === null
  return {
    claim: processing && consult.state === 'submitted' && free,
    read: processing && held && mine,
    release: processing && held && mine && free,
    decline: processing && consult.state === 'submitted' && free,
    cancel: consult.side === 'submitter' && user.doctor && ['queued', 'submitted', 'accepted', 'started'].includes(consult.state) && free,
    view: consult.side === 'submitter' || (consult.side === 'processor' && !mine && isEntrusted(consult, user.hospitalId)),
    fetch: processing && (consult.state === 'submitted' || (held && mine)) && (consult.images.state === 'none' || consult.images.state === 'failed'),
    heldByOther: consult.side === 'processor' && held && !mine,
  }
}

/** The grant follows the case: offered to us and still free, or held by one of us (FED-23). */
function isEntrusted({ state, holder }: Pick<ConsultRow, 'state' | 'holder'>, hospitalId: string): boolean {
  if (state === 'cancelled' || state === 'declined') return false
  return holder === null || holder.hospitalId === hospitalId
}

/** Share of the images that are here, 0 to 100. */
export function imagesPercent({ held, total }: ConsultRow['images']): number {
  return total === 0 ? 0 : Math.min(100, Math.floor((held / total) * 100))
}

/** The picture of a key image through WADO-RS (PS3.18 10.4.1.1.3), at most `pixels` wide and high. */
export function renderedAddress({ studyInstanceUid, seriesInstanceUid, sopInstanceUid, frame }: KeyImage, pixels: number): string {
  const instance = `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`
  return `${instance}/${frame ? `frames/${frame}/` : ''}rendered?viewport=${pixels},${pixels}`
}

export function hospitalName(consult: Pick<ConsultDetail, 'hospitalNames'>, id: string): string {
  return consult.hospitalNames[id] ?? id
}
