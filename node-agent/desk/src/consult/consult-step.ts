import type { ConsultDetail, ConsultRow } from 'specs'

export interface Rights {
  claim: boolean
  read: boolean
  release: boolean
  decline: boolean
  cancel: boolean
  /** Somebody else holds it: look, do not touch (COR-15). */
  heldByOther: boolean
}

/** What this person may press now. The hub decides in the end; the page only offers what can succeed. */
export function rightsOf(consult: Pick<ConsultRow, 'side' | 'state' | 'holder' | 'pending'>, user: { id: string; hospitalId: string; expert: boolean; doctor: boolean }): Rights {
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
    heldByOther: consult.side === 'processor' && held && !mine,
  }
}

/** Share of the images that are here, 0 to 100. */
export function imagesPercent({ held, total }: ConsultRow['images']): number {
  return total === 0 ? 0 : Math.min(100, Math.floor((held / total) * 100))
}

export function hospitalName(consult: Pick<ConsultDetail, 'hospitalNames'>, id: string): string {
  return consult.hospitalNames[id] ?? id
}
