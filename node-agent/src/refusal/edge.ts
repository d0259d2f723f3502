import type { AuditTrail } from 'service-kit'
import type { Problem } from 'specs'
import { edgeRefusalEvent } from '../audit/edge-events.ts'
import type { Region } from '../region/region.ts'
import type { RefusalBook } from './refusal-book.ts'
import type { EdgeRefusal } from './store.ts'

/** Says who was refused what at an edge of this node. */
export type TellRefusal = (refusal: Omit<EdgeRefusal, 'at' | 'code' | 'facts'> & { readonly problem: Problem }) => void

/** What is refused at an edge is told to the trail, to the node's own list and pages, and to the region's administrator (rule 10). */
export function refusalTeller({ audit, book, region }: { audit: AuditTrail; book: RefusalBook; region: Region }): TellRefusal {
  return (refusal) => {
    const { problem, service, peer, address } = refusal
    const at = Date.now()
    audit.note(edgeRefusalEvent(refusal))
    book.note({ at, service, code: problem.code, facts: problem.facts, peer, address })
    const caller = service === 'dimse' ? { callingAeTitle: peer } : { peer }
    const facts = { ...problem.facts, service: service.toUpperCase(), ...caller, remoteAddress: address }
    region.reportRefusal({ at, code: problem.code, facts, peer: `${peer} ${address}` })
  }
}
