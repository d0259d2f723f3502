import { type PartyId, Problem, type SyncReply, type SyncRequest } from 'specs'
import type { LinkCore } from './link-core.ts'
import type { Session } from './line.ts'

type Position = Omit<SyncReply, 'now'>

/** So many error answers fit into one sync. */
const FAILED_TOLD = 100

/** What we hold of the traffic with `peer`, to be told to it. */
export async function ourPosition(core: LinkCore, peer: PartyId, missing: boolean): Promise<Position> {
  const [received, sent, failed] = await Promise.all([
    core.inbox.position(peer),
    core.outbox.position(peer),
    core.inbox.failedOf(peer, FAILED_TOLD),
  ])
  return { ...received, sentUpTo: sent.sentUpTo, heldFrom: sent.heldFrom, failed, ...(missing ? { missing } : {}) }
}

/**
 * Takes in what `peer` holds: what it confirmed is done, what it lacks is sent, what it can no longer send is given up
 * (and kept as a refusal for a person to see).
 *
 * @param resend ours that are under way count as lost, because the connection is new.
 */
export async function takeIn(
  core: LinkCore,
  session: Session,
  peer: PartyId,
  theirs: Position | SyncRequest,
  { resend }: { resend: boolean },
): Promise<void> {
  const lost = theirs.heldFrom === undefined ? undefined : await core.inbox.skipLost(peer, theirs.heldFrom)
  if (lost)
    await core.refusalStore.keep({
      subject: 'sync',
      claimedSender: peer,
      raw: new Uint8Array(),
      error: new Problem('message/lost', { peer, ...lost }),
    })
  const resumption = await core.outbox.resume(peer, theirs)
  const upTo = resumption.kind === 'renumber' ? resumption.after : resumption.upTo
  if (theirs.failed && (await core.outbox.noteFailed(peer, theirs.failed, theirs.failed.length < FAILED_TOLD))) core.noteAnswers()
  const again = resend || theirs.missing === true || resumption.kind !== 'confirmed'
  core.publisherOf(peer).confirm(session.signal, upTo, { again })
}
