import type { Queries } from 'service-kit'

/** A digest under which the sender knows an instance that we keep in another form (ARC-12). */
export const rememberOriginal = (tx: Queries, sopInstanceUid: string, studyInstanceUid: string, sm3: string): Promise<number> =>
  tx.run('INSERT INTO archive_original (sop_instance_uid, sm3, study_instance_uid) VALUES ($1, $2, $3) ON CONFLICT (sop_instance_uid, sm3) DO NOTHING', [sopInstanceUid, sm3, studyInstanceUid])
