import type { Transaction } from 'service-kit'
import { parseWith, ProblemReport, type HospitalId, type LiveEvent } from 'specs'
import { recordRefusal } from './store.ts'

/** A node tells of a refusal that the region's administrator should see; when it happened is the node's to say. */
export async function takeReport(tx: Transaction, from: HospitalId, body: unknown, announce: (event: LiveEvent) => void): Promise<void> {
  const { at, code, facts } = parseWith(ProblemReport, body, 'region.problem')
  await recordRefusal(tx, from, { code, facts }, at)
  tx.afterCommit(() => announce({ type: 'refusal', code }))
}
