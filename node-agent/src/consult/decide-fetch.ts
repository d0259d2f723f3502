import type { ConsultEvent, HospitalId } from 'specs'
import type { Consult } from './consult.ts'

/** What an event means for the images at this node. */
export type FetchDecision =
  | { readonly kind: 'fetch'; readonly from: HospitalId }
  /** Somebody else has it, or nobody wants it any more. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'nothing' }

/**
 * Push, seen from the receiver (rule 8): the images are fetched as soon as the task names us as their destination. In the
 * pool that is whoever takes it. Through a data centre they are fetched when they have arrived there.
 */
export function decideFetch(consult: Consult, event: ConsultEvent, here: HospitalId): FetchDecision {
  const nothing = { kind: 'nothing' } as const
  if (consult.side === 'submitter') return nothing
  if (consult.state === 'cancelled' || consult.state === 'declined') return { kind: 'stop' }
  const { facts, submitter } = consult
  if (consult.side === 'data-centre') {
    const isDestination = facts.imagesTo === 'data-centre' && facts.grant.grant.grantees.includes(here)
    return event.type === 'submitted' && isDestination ? { kind: 'fetch', from: submitter } : nothing
  }
  if (event.type === 'claimed' && event.by.hospitalId !== here) return { kind: 'stop' }
  if (facts.mode !== 'push') return nothing

  const isOurs = facts.target.kind === 'hospital' || consult.holder?.hospitalId === here
  if (!isOurs) return nothing
  const mayStart = event.type === 'submitted' || event.type === 'claimed' || event.type === 'images-arrived'
  if (!mayStart) return nothing
  if (facts.imagesTo === 'processor') return event.type === 'images-arrived' ? nothing : { kind: 'fetch', from: submitter }
  const centre = consult.imagesArrivedAt.find((id) => id !== here && !consult.offeredTo.includes(id))
  return centre === undefined ? nothing : { kind: 'fetch', from: centre }
}
