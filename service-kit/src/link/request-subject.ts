import { HUB, PartyId, type RegionId } from 'specs'

/**
 * Who asks for what, from the subject alone: `region.R.hub.<from>.req.<service>` at the hub, `region.R.<own>.req.<from>.<service>`
 * at a node. The server lets nobody but `from` publish there.
 */
export function parseRequestSubject(regionId: RegionId, own: PartyId, subject: string): { from: PartyId; service: string } | undefined {
  const [root, region, receiver, ...rest] = subject.split('.')
  const [first, second, ...service] = rest
  if (root !== 'region' || region !== regionId || receiver !== own || service.length === 0) return undefined
  const [from, marker] = own === HUB ? [first, second] : [second, first]
  const party = PartyId.safeParse(from)
  return marker === 'req' && party.success ? { from: party.data, service: service.join('.') } : undefined
}
