import type { Queries } from 'service-kit'
import type { Consult } from '../consult/consult.ts'
import type { TaskGrant } from './held-grants.ts'

/** Grants that came with consultations of other hospitals and under which something may still be read here. */
export async function taskGrants(db: Queries): Promise<TaskGrant[]> {
  const rows = await db.all<{ body: string }>(
    `SELECT body FROM consult WHERE side <> 'submitter' AND state NOT IN ('cancelled', 'declined') ORDER BY applied_at DESC LIMIT 2000`,
  )
  return rows.map(({ body }) => {
    const { grantId, owner, studyInstanceUids } = (JSON.parse(body) as Consult).facts.grant.grant
    return { grantId, owner, studies: studyInstanceUids }
  })
}
