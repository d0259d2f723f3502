import type { Queries, Transaction } from 'service-kit'
import type { LandedInstance } from './incoming.ts'
import type { Registration } from './register.ts'

/** Which studies came at which receiving node (FED-19): written with their rows or not at all. An instance that was there already has come there as well. */
export async function noteReceivers(tx: Transaction, batch: readonly LandedInstance[], results: readonly Registration[], now: number): Promise<void> {
  const noted = new Set<string>()
  for (const [index, { source, values }] of batch.entries()) {
    const { receivingNode } = source
    const study = values.studyInstanceUid ?? ''
    if (receivingNode === undefined || results[index]?.kind === 'refused' || noted.has(`${receivingNode} ${study}`)) continue
    noted.add(`${receivingNode} ${study}`)
    await tx.run(
      'INSERT INTO archive_study_receiver (receiving_node, study_instance_uid, first_at) VALUES ($1, $2, $3) ON CONFLICT (receiving_node, study_instance_uid) DO NOTHING',
      [receivingNode, study, now],
    )
  }
}

/** The receiving nodes at which a study came, the first one first. */
export async function receiversOf(db: Queries, studyInstanceUid: string): Promise<string[]> {
  const rows = await db.all<{ node: string }>(
    'SELECT receiving_node AS "node" FROM archive_study_receiver WHERE study_instance_uid = $1 ORDER BY first_at, receiving_node',
    [studyInstanceUid],
  )
  return rows.map(({ node }) => node)
}

/** How many studies came at each receiving node. */
export async function studiesByReceiver(db: Queries): Promise<ReadonlyMap<string, number>> {
  const rows = await db.all<{ node: string; studies: number }>('SELECT receiving_node AS "node", COUNT(*) AS "studies" FROM archive_study_receiver GROUP BY receiving_node')
  return new Map(rows.map(({ node, studies }) => [node, studies]))
}
