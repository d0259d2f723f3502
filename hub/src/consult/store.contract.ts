import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from 'service-kit'
import { Problem, type ConsultCommand } from 'specs'
import { aCommand, anActor, A, B, C, decideNow, someFacts, toPool } from '../../tests/support/builders.ts'
import type { OpenedDatabase } from '../../tests/support/database.ts'
import { listTasks, readAnswer, readTask, readTimeline, saveAnswer, saveTask } from './store.ts'
import type { Task } from './task.ts'

/** What the ledger must do in every database we ship. `open` gives a new hub database. */
export function ledgerContract(name: string, open: () => Promise<OpenedDatabase>): void {
  describe(`the ledger in ${name}`, () => {
    let opened: OpenedDatabase
    let db: Database
    beforeEach(async () => {
      opened = await open()
      db = opened.db
    })
    afterEach(() => opened.drop())

    async function save(task: Task | undefined, command: ConsultCommand, now = 2_000): Promise<{ task: Task; saved: boolean }> {
      const decision = decideNow(task, command, { now })
      if (decision.kind !== 'recorded') throw new Error('nothing to save')
      return { task: decision.task, saved: await db.write((tx) => saveTask(tx, decision.task, decision.event)) }
    }

    it('gives a task back as it was saved, with its time line but without sealed content', async () => {
      // CON-01
      const { task } = await save(undefined, aCommand('submit'))
      const { task: claimed } = await save(task, aCommand('claim'))
      expect(await readTask(db, task.id)).toEqual(claimed)
      const timeline = await readTimeline(db, task.id)
      expect(timeline.map(({ revision, type, by }) => [revision, type, by.userId])).toEqual([
        [1, 'submitted', 'li'],
        [2, 'claimed', 'wang'],
      ])
      expect(JSON.stringify(timeline)).not.toContain('ciphertext')
    })

    it('lets one of two decisions on the same revision pass and leaves nothing of the other', async () => {
      // COR-14
      const { task } = await save(undefined, aCommand('submit', { facts: toPool() }))
      const first = await save(task, aCommand('claim'))
      const second = await save(task, aCommand('claim', { by: anActor(B, 'zhao') }))
      expect([first.saved, second.saved]).toEqual([true, false])
      expect((await readTask(db, task.id))?.holder?.userId).toBe('wang')
      expect(await readTimeline(db, task.id)).toHaveLength(2)
    })

    it('takes a number once', async () => {
      const { task } = await save(undefined, aCommand('submit'))
      const again = await save(undefined, aCommand('submit', { taskId: task.id }))
      expect(again.saved).toBe(false)
    })

    it('remembers the answer to a command of one hospital', async () => {
      // AGT-07
      const { commandId, taskId } = aCommand('start')
      await db.write((tx) => saveAnswer(tx, C, { outcome: 'accepted', commandId, taskId, revision: 3 }, 5))
      expect(await readAnswer(db, C, commandId)).toEqual({ outcome: 'accepted', commandId, taskId, revision: 3 })
      expect(await readAnswer(db, B, commandId)).toBeUndefined()
    })

    it('lists newest first, page by page, while new ones arrive', async () => {
      for (const at of [10, 20, 20, 30, 40]) await save(undefined, aCommand('submit'), at)
      const first = await listTasks(db, { limit: 2 })
      expect([first.total, first.rows.map((task) => task.createdAt)]).toEqual([5, [40, 30]])
      await save(undefined, aCommand('submit'), 50)
      const second = await listTasks(db, { limit: 2, after: first.next ?? '' })
      expect([second.total, second.rows.map((task) => task.createdAt)]).toEqual([6, [20, 20]])
      const third = await listTasks(db, { limit: 2, after: second.next ?? '' })
      expect([third.next, third.rows.map((task) => task.createdAt)]).toEqual([null, [10]])
    })

    it('filters by state, region, submitter and processor', async () => {
      // FED-20
      const toC = await save(undefined, aCommand('submit'))
      const pool = await save(undefined, aCommand('submit', { facts: toPool() }))
      await save(pool.task, aCommand('claim'))
      const fromB = await save(undefined, aCommand('submit', { by: anActor(B), facts: someFacts({}, { owner: B }) }))
      const ids = async (filter: Record<string, string>) => (await listTasks(db, { ...filter, limit: 10 })).rows.map(({ id }) => id).sort()
      const sorted = (...tasks: { task: Task }[]) => tasks.map(({ task }) => task.id).sort()
      expect(await ids({ state: 'accepted' })).toEqual(sorted(pool))
      expect(await ids({ submitter: A })).toEqual(sorted(toC, pool))
      expect(await ids({ processor: B })).toEqual(sorted(pool))
      expect(await ids({ processor: C, submitter: B, state: 'submitted' })).toEqual(sorted(fromB))
      expect(await ids({ regionId: 'elsewhere' })).toEqual([])
    })

    it('refuses a page key that it did not make', async () => {
      await expect(listTasks(db, { limit: 1, after: "1' OR 1=1" })).rejects.toThrow(Problem)
    })
  })
}
