import { HUB, nodePermissions, Problem, services, streams, subjects } from 'specs'
import { GapThrottle } from './gap-throttle.ts'
import type { Link, NodeLinkOptions } from './link.ts'
import { LinkCore } from './link-core.ts'
import { NodeSync } from './node-sync.ts'
import { readStream } from './stream-reader.ts'
import { linkMigrations } from './tables.ts'

/** The link of a hospital's node to its region. Nothing happens on the network before `start`. */
export async function createNodeLink(options: NodeLinkOptions): Promise<Link> {
  const { db, log, regionId, hospitalId, hubCertificate } = options
  await db.migrate('link', linkMigrations)
  const gaps = new GapThrottle()
  const heartbeat = options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }
  const core: LinkCore = new LinkCore(
    {
      ...options,
      timing: { ...options.timing, ...heartbeat },
      // The hub is certified anew while nodes are connected; until told, it is the one we joined.
      certificateOf: (party) => options.certificateOf(party) ?? (party === HUB ? hubCertificate : undefined),
    },
    {
      own: hospitalId,
      inboxPrefix: nodePermissions(regionId, hospitalId).inboxPrefix,
      subjectTo: () => subjects.toHub(regionId, hospitalId),
      onSession: async (session) => {
        void readStream(session, {
          stream: streams.toNodes(regionId),
          consumer: streams.nodeConsumer(hospitalId),
          onMessage: (message) => core.receiver.offer(message, HUB, session),
          clock: core.clock,
          log,
        })
        sync.begin(session)
      },
      onTaken: () => sync.noteTaken(),
      onGap: (from, last) => {
        if (gaps.shouldAsk(from, last, core.clock.now())) sync.ask({ missing: true })
      },
      syncNow: () => sync.again(),
      onPublished: (publisher) => sync.notePublished(publisher.unconfirmed),
      settle: () => sync.settle(),
    },
  )
  const sync = new NodeSync({ core, log, version: options.version ?? '0', statusOf: options.statusOf })
  // The hub has come back, or lacks something of ours.
  core.serve(services.sync, async ({ from }) => {
    if (from !== HUB) throw new Problem('access/forbidden')
    sync.ask({ missing: true })
    return null
  })
  return core
}
