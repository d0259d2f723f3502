import { randomUUID } from 'node:crypto'
import { HUB, MessageId, parseHospitalId, Problem, Sm3Hex } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database/index.ts'
import { createLog } from '../log/index.ts'
import { createMetrics } from '../metrics/index.ts'
import { Inbox, type Incoming } from './inbox.ts'
import { listMessages } from './message-list.ts'
import { Outbox } from './outbox.ts'
import { RefusalStore } from './refusal.ts'
import { linkMigrations } from './tables.ts'

/** What outbox, inbox and refusals do in every kind of database we ship. */
export function mailboxContract(name: string, open: () => Promise<Database>): void {
  describe(`messages in ${name}`, () => {
    const hospital = parseHospitalId('hospital-a')
    let now = 1_000
    const clock = { now: () => now, after: () => () => {} }
    let db: Database
    let outbox: Outbox
    let handle: () => Promise<void>
    let inbox: Inbox
    beforeEach(async () => {
      now = 1_000
      db = await open()
      await db.migrate('link', linkMigrations)
      outbox = new Outbox(db, clock)
      handle = () => Promise.resolve()
      inbox = new Inbox(db, clock, () => () => handle())
    })
    afterEach(() => db.close())

    const post = (count: number) =>
      db.write(async (tx) => {
        for (let n = 1; n <= count; n++) await outbox.add(tx, HUB, 'note', { n })
      })
    const seqs = async (from = 1) => (await outbox.from(HUB, from, 100)).map((row) => row.seq)
    const message = (seq: number, id = MessageId.parse(randomUUID())): Incoming => ({
      id,
      from: hospital,
      seq,
      kind: 'note',
      body: { seq },
      digest: Sm3Hex.parse('0'.repeat(64)),
      arrival: `${seq}@1`,
    })

    it('are numbered per receiver without gaps, even when transactions compete or fail', async () => {
      // AGT-15
      const fail = db.write(async (tx) => {
        await outbox.add(tx, HUB, 'note', {})
        throw new Error('undone')
      })
      await Promise.all([post(3), fail.catch(() => undefined), post(3), db.write((tx) => outbox.add(tx, hospital, 'note', {}))])
      expect(await seqs()).toEqual([1, 2, 3, 4, 5, 6])
      expect(await outbox.position(hospital)).toEqual({ sentUpTo: 1, deliveredUpTo: 0, heldFrom: 1 })
    })

    it('count as delivered once the receiver says so, and as lost again when it forgot', async () => {
      // AGT-16
      await post(4)
      await outbox.markPublished(HUB, 1, 3)
      await outbox.resume(HUB, { receivedUpTo: 2 })
      const states = async () => (await listMessages(db, { direction: 'out' })).map((row) => row.state).reverse()
      expect(await states()).toEqual(['delivered', 'delivered', 'published', 'pending'])
      expect(await outbox.pendingCount()).toBe(2)
      expect(await outbox.resume(HUB, { receivedUpTo: 1 })).toEqual({ kind: 'rewound', upTo: 1 })
      expect(await states()).toEqual(['delivered', 'pending', 'published', 'pending'])
    })

    it('move behind numbers that the receiver knows from a former self', async () => {
      // AGT-16
      await post(3)
      expect(await outbox.resume(HUB, { receivedUpTo: 5, receivedId: MessageId.parse(randomUUID()) })).toEqual({
        kind: 'renumber',
        after: 5,
      })
      expect(await seqs()).toEqual([6, 7, 8])
      await post(1)
      expect(await seqs()).toEqual([6, 7, 8, 9])
    })

    it('are forgotten some time after their delivery, and the oldest still held is known', async () => {
      await post(3)
      await outbox.resume(HUB, { receivedUpTo: 2 })
      await outbox.forgetDeliveredBefore(1_001)
      expect(await outbox.position(HUB)).toEqual({ sentUpTo: 3, deliveredUpTo: 2, heldFrom: 3 })
    })

    it('have their effect once and in order', async () => {
      // AGT-06
      const [first, second] = [message(1), message(2)]
      expect(await inbox.receive(second)).toEqual({ kind: 'gap', last: 0 })
      expect(await inbox.receive(first)).toEqual({ kind: 'taken' })
      expect(await inbox.receive(first)).toEqual({ kind: 'repetition', repetition: 'duplicate' })
      expect(await inbox.receive({ ...first, arrival: '9@9' })).toEqual({ kind: 'repetition', repetition: 'replayed' })
      expect(await inbox.receive(message(1))).toEqual({ kind: 'repetition', repetition: 'conflict' })
      expect(await inbox.receive(second)).toEqual({ kind: 'taken' })
      expect(await inbox.receive(message(3, first.id))).toEqual({ kind: 'repetition', repetition: 'duplicate' })
      expect(await inbox.position(hospital)).toEqual({ receivedUpTo: 3 })
    })

    it('that fail are kept with their body until a retry succeeds', async () => {
      // AGT-07
      handle = () => Promise.reject(new Problem('consult/not-open', { state: 'read' }))
      const failing = message(1)
      expect(await inbox.receive(failing)).toMatchObject({ kind: 'failed', problem: { code: 'consult/not-open' } })
      expect(await inbox.failedCount()).toBe(1)
      await expect(inbox.retry(failing.id)).rejects.toMatchObject({ code: 'consult/not-open' })
      handle = () => Promise.resolve()
      await inbox.retry(failing.id)
      expect(await listMessages(db, { direction: 'in' })).toMatchObject([{ state: 'done', attempts: 3, problem: null, peer: hospital }])
      await expect(inbox.retry(MessageId.parse(randomUUID()))).rejects.toMatchObject({ code: 'request/not-found' })
    })

    it('wait visibly until the receiver has taken them: since when, how often sent, and what it answered', async () => {
      // AGT-07
      await post(3)
      now = 2_000
      await outbox.markPublished(HUB, 1, 2)
      expect(await outbox.unanswered(10)).toMatchObject([
        { seq: 1, since: 1_000, attempts: 1, lastTriedAt: 2_000, state: 'published', problemCode: null },
        { seq: 2 },
        { seq: 3, attempts: 0, lastTriedAt: null, state: 'pending' },
      ])
      await outbox.resume(HUB, { receivedUpTo: 3 })
      expect(await outbox.unanswered(10)).toEqual([])
      const [first, second] = await outbox.from(HUB, 1, 2)
      const strange = { id: MessageId.parse(randomUUID()), code: 'consult/not-open' }
      const failed = [{ id: first!.id, code: 'consult/not-open' }, { id: second!.id, code: 'service/internal' }, strange]
      expect(await outbox.noteFailed(HUB, failed, true)).toBe(true)
      expect(await outbox.noteFailed(HUB, failed, true)).toBe(false) // the usual heartbeat writes nothing
      expect((await outbox.unanswered(10)).map(({ seq, problemCode }) => [seq, problemCode])).toEqual([[1, 'consult/not-open'], [2, 'service/internal']])
      expect(await listMessages(db, { state: 'failed-there' })).toHaveLength(2)
      await outbox.noteFailed(HUB, failed.slice(1), true)
      expect((await outbox.unanswered(10)).map(({ seq }) => seq)).toEqual([2])
      const again = await db.write((tx) => outbox.repeat(tx, second!.id))
      expect(await outbox.from(HUB, 4, 1)).toMatchObject([{ id: again?.id, seq: 4, body: second!.body }])
      expect(await db.write((tx) => outbox.repeat(tx, strange.id))).toBeUndefined()
    })

    it('that fail are named to their sender, and only to it', async () => {
      // AGT-07
      handle = () => Promise.reject(new Problem('consult/not-open', { state: 'read' }))
      const failing = message(1)
      await inbox.receive(failing)
      expect(await inbox.failedOf(hospital, 10)).toEqual([{ id: failing.id, code: 'consult/not-open' }])
      expect(await inbox.failedOf(HUB, 10)).toEqual([])
      handle = () => Promise.resolve()
      await expect(inbox.retry(failing.id, HUB)).rejects.toMatchObject({ code: 'request/not-found' })
      await inbox.retry(failing.id, hospital)
      expect(await inbox.failedOf(hospital, 10)).toEqual([])
    })

    it('that their sender no longer holds are given up', async () => {
      await inbox.receive(message(1))
      expect(await inbox.skipLost(hospital, 2)).toBeUndefined()
      expect(await inbox.skipLost(hospital, 6)).toEqual({ from: 2, to: 5 })
      expect(await inbox.receive(message(6))).toEqual({ kind: 'taken' })
      now = 5_000
      await inbox.forgetDoneBefore(5_000)
      expect(await inbox.position(hospital)).toMatchObject({ receivedUpTo: 6, receivedId: expect.any(String) as string })
      expect(await listMessages(db, { direction: 'in' })).toHaveLength(1)
    })

    it('that are refused are kept as they came', async () => {
      // SEC-11
      const heard: string[] = []
      const log = createLog({ name: 'test', level: 'silent' })
      const refusals = new RefusalStore({ db, log, metrics: createMetrics(), clock, onRefusal: ({ code }) => void heard.push(code) })
      const raw = new TextEncoder().encode('半个信封\0')
      await refusals.keep({ subject: 's', claimedSender: hospital, raw, error: new Problem('envelope/malformed', { what: 'json' }) })
      expect(heard).toEqual(['envelope/malformed'])
      const [row] = await refusals.list()
      expect(row).toMatchObject({
        source: hospital,
        code: 'envelope/malformed',
        title: '签名信封格式错误',
        facts: { what: 'json' },
        at: 1_000,
      })
      expect(await refusals.raw(row!.id)).toMatch(/^base64:/)
      expect(await refusals.count()).toBe(1)
    })
  })
}
