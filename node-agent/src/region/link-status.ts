import { parseCertificate } from 'pki'
import { answers, isProblem, type EpochMs, type LinkStatus } from 'specs'
import type { Connection } from './connection.ts'
import type { Membership } from './membership.ts'

/** Why there is no line to the region that we belong to. */
export interface Obstacle {
  readonly membership: Membership
  readonly error: unknown
  readonly at: EpochMs
  readonly failures: number
}

const notJoined: LinkStatus = {
  state: 'not-joined',
  regionId: null,
  regionName: null,
  hubUrl: null,
  natsUrl: null,
  since: null,
  lastSyncAt: null,
  hospital: null,
  certificateExpires: null,
  problem: null,
  failures: 0,
  lastTriedAt: null,
  pendingMessages: 0,
  refusedMessages: 0,
}

/** The connection as the pages show it; there may be none. */
export async function linkStatusOf(connection: Connection | undefined, obstacle: Obstacle | undefined): Promise<LinkStatus> {
  if (!connection) return obstacle ? withoutLine(obstacle) : notJoined
  const { membership, link, identity, natsUrl } = connection
  const { regionId, regionName, hubUrl, hospital } = membership
  const { state, since, lastSyncAt, problem, failures, lastTriedAt } = link.status()
  return {
    ...{ state, since, lastSyncAt, failures, lastTriedAt, regionId, regionName, hubUrl, natsUrl, hospital },
    problem: problem && { code: problem, title: answers[problem].zh },
    certificateExpires: parseCertificate(identity.certificateChain[0] ?? '').notAfter,
    ...(await link.counts()),
  }
}

function withoutLine({ membership, error, at, failures }: Obstacle): LinkStatus {
  const { regionId, regionName, hubUrl, hospital } = membership
  const code = isProblem(error) ? error.code : 'service/internal'
  const problem = { code, title: answers[code].zh }
  return { ...notJoined, state: 'disconnected', regionId, regionName, hubUrl, hospital, problem, failures, lastTriedAt: at }
}
