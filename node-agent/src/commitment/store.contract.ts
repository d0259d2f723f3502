import { type Database } from 'service-kit'
import { Problem } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addCommitment, changeCommitment, commitmentMigrations, dueCommitments, findCommitment, forgetCommitments, listCommitments, nextCommitmentAt } from './store.ts'

const instances = [{ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.1' }]
const given = (transactionUid: string, aeTitle = 'CT01') => ({ direction: 'given', transactionUid, aeTitle, remoteAddress: '10.0.0.9', nodeId: null, subject: null, instances }) as const

/** What the table of storage commitments must do, on each kind of database that we ship for. */
export function commitmentContract(name: string, open: () => Promise<Database>): void {
  describe(`storage commitments in ${name}`, () => {
    let db: Database
    beforeAll(async () => {
      db = await open()
      await db.migrate('commitment', commitmentMigrations)
    })
    afterAll(() => db.close())

    it('are due in the order of their time, until they are settled', async () => {
      // LOC-05
      await addCommitment(db, given('2.25.11'), 1_000, 1_200)
      await addCommitment(db, given('2.25.12'), 1_000, 1_100)
      expect(await nextCommitmentAt(db)).toBe(1_100)
      expect((await dueCommitments(db, 1_150)).map(({ transactionUid }) => transactionUid)).toEqual(['2.25.12'])
      expect(await dueCommitments(db, 2_000)).toMatchObject([{ transactionUid: '2.25.12', instances }, { transactionUid: '2.25.11' }])
      const problem = new Problem('dimse/unreachable')
      expect(await changeCommitment(db, given('2.25.12'), { state: 'retrying', attempts: 1, nextAttemptAt: 6_000, problem }, ['waiting'], 2_000)).toBe(true)
      expect(await changeCommitment(db, given('2.25.12'), { state: 'done', attempts: 2, nextAttemptAt: null }, ['waiting'], 2_000)).toBe(false)
      const result = { transactionUid: '2.25.11', committed: instances, failed: [] }
      await changeCommitment(db, given('2.25.11'), { state: 'done', attempts: 1, nextAttemptAt: null, result }, ['waiting'], 2_100)
      expect(await nextCommitmentAt(db)).toBe(6_000)
    })

    it('are listed with their counts and what stands in the way, newest first', async () => {
      await addCommitment(db, given('2.25.13', 'MR01'), 3_000)
      const { rows, total, next } = await listCommitments(db, { limit: 2 })
      expect({ total, next }).toEqual({ total: 3, next: '2' })
      expect(rows).toMatchObject([{ transactionUid: '2.25.13', aeTitle: 'MR01', instances: 1, committed: null }, { transactionUid: '2.25.11', state: 'done', committed: 1, failed: 0 }])
      expect((await listCommitments(db, { state: 'retrying', limit: 10 })).rows).toMatchObject([{ transactionUid: '2.25.12', attempts: 1, problem: { code: 'dimse/unreachable' } }])
    })

    it('are due once more when they are asked for once more, and are one for each who asks', async () => {
      await addCommitment(db, given('2.25.11'), 9_000)
      await addCommitment(db, given('2.25.11', 'CT02'), 9_000)
      expect((await dueCommitments(db, 9_000)).filter(({ transactionUid }) => transactionUid === '2.25.11').map(({ aeTitle }) => aeTitle).sort()).toEqual(['CT01', 'CT02']) // prettier-ignore
      expect(await findCommitment(db, { direction: 'given', transactionUid: '2.25.11', aeTitle: 'CT02' })).toMatchObject({ state: 'waiting', attempts: 0 })
      expect(await findCommitment(db, { direction: 'asked', transactionUid: '2.25.11' })).toBeUndefined()
    })

    it('are forgotten when they came to their end long ago, and never before', async () => {
      await changeCommitment(db, given('2.25.11'), { state: 'failed', attempts: 9, nextAttemptAt: null }, ['waiting'], 9_500)
      expect(await forgetCommitments(db, 9_400)).toBe(0)
      expect(await forgetCommitments(db, 9_600)).toBe(1)
      expect((await listCommitments(db, { limit: 10 })).total).toBe(3)
    })
  })
}
