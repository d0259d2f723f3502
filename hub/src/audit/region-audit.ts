import type { Identity, TrustStore } from 'pki'
import { healthEvent, type Database, type HubLink, type Queries, type Trail } from 'service-kit'
import { auditKinds, CrossViewingReport, HealthChange, HospitalId, parseWith, Problem, services, type EpochMs, type LiveEvent } from 'specs'
import { keepCrossViewing, listCheckpoints } from './store.ts'
import { Witness } from './witness.ts'

export interface RegionAuditParts {
  readonly db: Database
  readonly trail: Trail
  readonly link: HubLink
  readonly identity: Identity
  readonly trust: TrustStore
  readonly joined: (queries: Queries) => Promise<readonly HospitalId[]>
  readonly announce: (event: LiveEvent) => void
  readonly now: () => EpochMs
}

/** An answer must fit into one message; the newest checkpoints cover all that came before. */
const TOLD_WITNESSES = 200

/** The centre's copy: checkpoints, viewings between hospitals, and faults of every node. Registers the messages it takes; call before the link starts. */
export function openRegionAudit(parts: RegionAuditParts): { handOut: () => Promise<void> } {
  const { db, trail, link, announce, now } = parts
  const witness = new Witness({ ...parts, outbox: link })

  link.onMessage(auditKinds.checkpoint, (tx, { from, body }) => witness.take(tx, HospitalId.parse(from), body))
  link.onMessage(auditKinds.crossViewing, async (tx, { from, body }) => {
    const reporter = HospitalId.parse(from)
    for (const event of parseWith(CrossViewingReport, body, auditKinds.crossViewing).events) {
      // Whoever tells was there: as the viewer or as the one who served.
      if (event.side === 'viewer' && event.viewer !== reporter) throw new Problem('access/forbidden', { viewer: event.viewer })
      await keepCrossViewing(tx, event, reporter, now())
    }
  })
  link.onMessage(auditKinds.health, async (tx, { from, body }) => {
    const change = parseWith(HealthChange, body, auditKinds.health)
    await trail.within(tx, healthEvent(change, { kind: 'hospital', id: from, hospitalId: from }))
    tx.afterCommit(() => announce({ type: 'hospital', hospitalId: from }))
  })
  link.serve(services.auditWitnesses, ({ from }) => listCheckpoints(db, { party: from, limit: TOLD_WITNESSES }))

  /** Every checkpoint of our own that no hospital has yet, as long as there is one to give it to. */
  async function handOut(): Promise<void> {
    for (const own of await trail.checkpoints.unposted()) {
      const isHanded = await db.write((tx) => witness.handOut(tx, own))
      if (!isHanded) return
      await trail.checkpoints.markPosted(own.checkpoint.seq)
    }
  }
  return { handOut }
}
