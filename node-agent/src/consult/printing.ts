import type { Database, User } from 'service-kit'
import { Problem, type LiveEvent, type TaskId } from 'specs'
import type { CommandDesk } from './command-desk.ts'
import { findConsult } from './store.ts'

export interface PrintingParts {
  readonly db: Database
  readonly desk: CommandDesk
  readonly announce: (event: LiveEvent) => void
}

/**
 * 打印会诊意见 (CON-28). Noted here and sent like every step; without a line it waits in the outbox with the time at which it
 * was printed. Unlike other commands, a second one while the first is on its way is not the same wish: it is a second copy.
 *
 * @throws {Problem} consult/unknown-task; consult/not-open when there is no opinion here to print; the hub's refusal.
 */
export async function recordPrinting({ db, desk, announce }: PrintingParts, user: User, taskId: TaskId): Promise<void> {
  const commandId = await db.write(async (tx) => {
    const consult = await findConsult(tx, taskId)
    if (!consult) throw new Problem('consult/unknown-task', { taskId })
    const { state, revision, opinion } = consult
    if (!opinion) throw new Problem('consult/not-open', { state })
    const id = await desk.post(tx, consult, desk.personOf(user), { type: 'print' })
    tx.afterCommit(() => announce({ type: 'consult', taskId, state, revision }))
    return id
  })
  await desk.outcome(taskId, commandId)
}
