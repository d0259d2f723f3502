import { isProblem } from 'specs'
import { type Archive } from '../archive/archive.ts'
import { type CommitmentResult, failureReasons, type CommitmentRequest, type InstanceReference, type NotCommitted } from './transaction.ts'

type Kept = Pick<Archive, 'instance' | 'open'>

/** Files looked at together: a study of thousands takes seconds, and reading goes on beside. */
const AT_ONCE = 4

/**
 * Whether each instance is safe here: a row, of that class, and its file of exactly the recorded length (storage commitment means that
 * we take over the responsibility: PS3.4 J.1).
 */
export async function checkInstances({ transactionUid, instances }: CommitmentRequest, archives: readonly Kept[]): Promise<CommitmentResult> {
  const committed: InstanceReference[] = []
  const failed: NotCommitted[] = []
  const waiting = [...instances].reverse()
  const look = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const reason = await reasonAgainst(next, archives)
      if (reason === undefined) committed.push(next)
      else failed.push({ ...next, reason })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, look))
  return { transactionUid, committed, failed }
}

async function reasonAgainst({ sopClassUid, sopInstanceUid }: InstanceReference, archives: readonly Kept[]): Promise<number | undefined> {
  for (const archive of archives) {
    const row = await archive.instance(sopInstanceUid)
    if (!row) continue
    if (row.sopClassUid !== sopClassUid) return failureReasons.classInstanceConflict
    return (await isWhole(archive, sopInstanceUid)) ? undefined : failureReasons.processingFailure
  }
  return failureReasons.noSuchInstance
}

async function isWhole(archive: Kept, sopInstanceUid: string): Promise<boolean> {
  try {
    const file = await archive.open(sopInstanceUid)
    const last = await file.read(file.sizeBytes - 1, 2)
    return last.length === 1
  } catch (error) {
    if (isProblem(error)) return false
    throw error
  }
}
