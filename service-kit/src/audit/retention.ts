import type { AuditStub, SignedStub } from 'specs'
import { retentionMs } from './config.ts'
import { lockHead } from './chain.ts'
import type { Trail } from './trail.ts'

/** Rows of one transaction: the writer must not wait long. */
const STEP = 2_000

/**
 * Removes what is older than the retention, whole checkpointed prefixes only, and leaves a signed stub with which the chain goes on. The stub is written
 * first: it is what lets the database give the records up, and a process that dies in between goes on where it stopped.
 *
 * @returns how many records went.
 */
export async function retire(trail: Trail): Promise<number> {
  const { db, settings, party, signer, now } = trail
  const before = now() - retentionMs(settings)
  // A checkpoint is younger than everything before it, so nothing that must be kept lies in its prefix.
  const newestOld = await db.get<{ seq: number; hash: string }>(
    `SELECT c.seq, c.hash FROM audit_checkpoint c JOIN audit_record r ON r.seq = c.seq AND r.hash = c.hash
     WHERE c.at < $1 AND c.seq < (SELECT seq FROM audit_head WHERE id = 1) ORDER BY c.seq DESC LIMIT 1`,
    [before],
  )
  if (newestOld) {
    await db.write(async (tx) => {
      const { trailId } = await lockHead(tx, db.dialect)
      const last = await tx.get<{ seq: number }>('SELECT seq FROM audit_stub ORDER BY seq DESC LIMIT 1')
      if (last && last.seq >= newestOld.seq) return
      const stub = { v: 1, kind: 'audit.stub', party, trailId, seq: newestOld.seq, hash: newestOld.hash, keptFrom: before, at: now() } as AuditStub
      const signed: SignedStub = { stub, signed: signer.sign(stub) }
      await tx.run('INSERT INTO audit_stub (seq, hash, at, signed) VALUES ($1, $2, $3, $4)', [stub.seq, stub.hash, stub.at, JSON.stringify(signed)])
    })
  }
  let removed = 0
  for (let last = STEP; last === STEP; removed += last) {
    last = await db.run(
      `DELETE FROM audit_record WHERE seq IN (SELECT seq FROM audit_record WHERE seq <= COALESCE((SELECT MAX(seq) FROM audit_stub), 0) ORDER BY seq LIMIT ${STEP})`,
    )
  }
  if (removed > 0) {
    await trail.record({ action: 'audit.retention', outcome: 'success', actor: { kind: 'system', id: party }, object: { type: 'audit', id: party }, facts: { removed, olderThan: before } })
  }
  return removed
}
