import { parseCertificate } from 'pki'
import { answers, type LinkStatus } from 'specs'
import type { Connection } from './connection.ts'

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
export async function linkStatusOf(connection: Connection | undefined): Promise<LinkStatus> {
  if (!connection) return notJoined
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
