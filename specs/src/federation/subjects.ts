import type { HospitalId, PartyId, RegionId } from '../identifiers.ts'

/**
 * NATS subjects. The receiver comes first, so a node needs leave to hear its own branch and no more; the second party
 * is the sender, so the transport already forbids speaking for somebody else (the envelope proves it end to end).
 */
export const subjects = {
  /** JetStream, node → hub: sealed messages of one node, in the order of its own sequence. */
  toHub: (region: RegionId, from: HospitalId) => `region.${region}.hub.${from}.msg`,
  /** JetStream, hub → node. */
  toNode: (region: RegionId, to: HospitalId) => `region.${region}.${to}.msg`,
  /** Core request/reply, node → hub: sealed request to a named service of the hub. */
  hubRequest: (region: RegionId, from: HospitalId, service: string) => `region.${region}.hub.${from}.req.${service}`,
  /** Core request/reply, node → node (or hub → node): sealed or session-keyed request to a service of `owner`. */
  nodeRequest: (region: RegionId, owner: HospitalId, from: PartyId, service: string) => `region.${region}.${owner}.req.${from}.${service}`,
  /** What the hub and a node listen to for all their services. */
  requestsToHub: (region: RegionId) => `region.${region}.hub.*.req.>`,
  requestsToNode: (region: RegionId, owner: HospitalId) => `region.${region}.${owner}.req.>`,
  allToHub: (region: RegionId) => `region.${region}.hub.*.msg`,
  allToNodes: (region: RegionId) => `region.${region}.*.msg`,
} as const

export const streams = {
  toHub: (region: RegionId) => `${region}-to-hub`,
  toNodes: (region: RegionId) => `${region}-to-nodes`,
  hubConsumer: 'hub',
  nodeConsumer: (hospital: HospitalId) => hospital,
} as const

/**
 * What a node's NATS user may do. Written into its user JWT by the hub, so that the server enforces it.
 * `_INBOX.<hospital>` is the reply prefix the node's connection is configured with.
 */
export function nodePermissions(region: RegionId, hospital: HospitalId) {
  const stream = streams.toNodes(region)
  const consumer = streams.nodeConsumer(hospital)
  return {
    publish: [
      `region.${region}.hub.${hospital}.>`,
      `region.${region}.*.req.${hospital}.>`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
      `$JS.ACK.${stream}.${consumer}.>`,
    ],
    subscribe: [`region.${region}.${hospital}.>`, `${inboxPrefix(hospital)}.>`],
    /** Answers to requests that arrived at the node (one reply subject each, for a while). */
    allowResponses: true,
    inboxPrefix: inboxPrefix(hospital),
  }
}

/** Where a party's answers arrive. An answer is sent nowhere else, or a request could make its receiver publish at a subject of the asker's choice. */
export const inboxPrefix = (party: PartyId) => `_INBOX.${party}`
