import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Problem, type ConsultAnswer, type HospitalId, type LiveEvent } from 'specs'
import { A, aCommand, anActor, B, C, centre, regionId, sealedFor, someFacts, toPool } from '../../tests/support/builders.ts'
import { openHubSqlite, OutboxTable, registerDemoRegion, type OpenedDatabase } from '../../tests/support/database.ts'
import { RegistryCache } from '../hospital/registry-cache.ts'
import { keepOrder } from './recollection.ts'
import { ConsultService } from './service.ts'
import { listTasks, readTask, readTimeline } from './store.ts'

let opened: OpenedDatabase
let outbox: OutboxTable
let live: LiveEvent[]
let service: ConsultService
let clock: number

beforeEach(async () => {
  opened = await openHubSqlite()
  outbox = await OutboxTable.open(opened.db)
  await registerDemoRegion(opened.db, outbox)
  live = []
  clock = 10_000
  const refuseForged = ({ signature }: { signature: string }) => {
    if (signature === 'forged') throw new Problem('access/grant-invalid', { reason: 'signature' })
  }
  service = new ConsultService({
    regionId,
    registry: new RegistryCache(),
    outbox,
    verifyGrant: refuseForged,
    announce: (event) => live.push(event),
    now: () => clock++,
  })
})
afterEach(() => opened.drop())

const send = (command: { by: { hospitalId: HospitalId } }) => opened.db.write((tx) => service.handle(tx, command.by.hospitalId, command))
const answerTo = async ({ commandId }: { commandId: string }): Promise<ConsultAnswer | undefined> =>
  (await outbox.answers()).map(({ body }) => body).findLast((answer) => answer.commandId === commandId)
const refusals = () =>
  opened.db.all<{ source: string; code: string; facts: string }>('SELECT source, code, facts FROM hub_refusal ORDER BY at')

describe('the hub taking commands', () => {
  it('tells everybody concerned, gives sealed content only to those who can open it, and answers the commander', async () => {
    // CON-09, CON-18, AGT-07
    const submit = aCommand('submit', { facts: someFacts({ imagesTo: 'data-centre' }), sealed: sealedFor(C) })
    await send(submit)
    const events = await outbox.events()
    expect(events.map(({ to, body }) => [to, body.type, body.sealed !== undefined, body.facts !== undefined])).toEqual([
      [A, 'submitted', false, true],
      [C, 'submitted', true, true],
      [centre, 'submitted', false, true],
    ])
    expect(await outbox.answers()).toEqual([
      { to: A, body: { outcome: 'accepted', commandId: submit.commandId, taskId: submit.taskId, revision: 1 } },
    ])
    expect(live).toEqual([{ type: 'consult', taskId: submit.taskId, state: 'submitted', revision: 1 }])
  })

  it('gives every hospital the same events in the same order', async () => {
    // CON-18
    const submit = aCommand('submit', { facts: toPool(), sealed: sealedFor(B, C) })
    const { taskId } = submit
    for (const command of [submit, aCommand('claim', { taskId }), aCommand('start', { taskId }), aCommand('sign', { taskId })])
      await send(command)
    for (const hospitalId of [A, B, C]) {
      const seen = (await outbox.events(hospitalId)).map(({ body }) => [body.revision, body.type, body.holder?.userId])
      expect(seen).toEqual([
        [1, 'submitted', undefined],
        [2, 'claimed', 'wang'],
        [3, 'started', 'wang'],
        [4, 'signed', 'wang'],
      ])
    }
    const opinions = (await outbox.events()).filter(({ body }) => body.type === 'signed' && body.sealed !== undefined)
    expect(opinions.map(({ to }) => to)).toEqual([A])
  })

  it('answers a repeated command as the first time, with no second effect', async () => {
    // AGT-06, AGT-07
    const submit = aCommand('submit')
    await send(submit)
    await send(submit)
    expect(await outbox.answers()).toHaveLength(2)
    expect(new Set((await outbox.answers()).map(({ body }) => JSON.stringify(body))).size).toBe(1)
    expect(await outbox.events(C)).toHaveLength(1)
    expect(await readTimeline(opened.db, submit.taskId)).toHaveLength(1)
  })

  it('repeats a refusal too, even when the command would pass by now', async () => {
    const submit = aCommand('submit', { facts: toPool() })
    const { taskId } = submit
    const late = aCommand('claim', { taskId, by: anActor(B, 'zhao') })
    for (const command of [submit, aCommand('claim', { taskId }), late, aCommand('release', { taskId }), late]) await send(command)
    const answers = (await outbox.answers(B)).map(({ body }) => body)
    expect(answers).toHaveLength(2)
    expect(answers[1]).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ outcome: 'refused', problem: { code: 'consult/held' } })
  })

  it('tells a second doctor who holds the case, where and since when, and keeps the refusal for the region', async () => {
    // COR-15
    const submit = aCommand('submit', { facts: toPool() })
    const second = aCommand('claim', { taskId: submit.taskId, by: anActor(B, 'zhao') })
    for (const command of [submit, aCommand('claim', { taskId: submit.taskId }), second]) await send(command)
    expect(await answerTo(second)).toMatchObject({
      outcome: 'refused',
      problem: {
        code: 'consult/held',
        facts: { by: { name: '医生 wang', hospitalId: C, hospitalName: '医院 hospital-c', since: expect.any(Number) } },
      },
    })
    expect(await refusals()).toMatchObject([{ source: B, code: 'consult/held' }])
    expect(live.at(-1)).toEqual({ type: 'refusal', code: 'consult/held' })
  })

  it('gives each of thirty cases exactly one holder when ten doctors of three hospitals reach for all of them', async () => {
    // COR-14
    const taskIds: string[] = []
    for (let n = 0; n < 30; n++) {
      const submit = aCommand('submit', { facts: toPool({}, { owner: A, grantees: [B, C] }) })
      taskIds.push(submit.taskId)
      await send(submit)
    }
    const doctors = Array.from({ length: 10 }, (_, n) => anActor(n % 2 === 0 ? B : C, `doctor-${n}`))
    // Everybody at once, each in another order, as if all had the list open.
    const claims = doctors.flatMap((by, n) => taskIds.map((_, k) => aCommand('claim', { by, taskId: taskIds[(k * (n + 1) * 7 + n) % 30] })))
    await Promise.all(claims.map(send))

    const answers = (await outbox.answers())
      .map(({ body }) => body)
      .filter(({ commandId }) => claims.some((claim) => claim.commandId === commandId))
    expect(answers).toHaveLength(claims.length)
    const { rows } = await listTasks(opened.db, { limit: 100 })
    expect(rows.every(({ state, holder }) => state === 'accepted' && holder !== undefined)).toBe(true)
    const recorded = (await outbox.events(A)).filter(({ body }) => body.type === 'claimed')
    expect(recorded).toHaveLength(30)
    for (const { body } of recorded) expect((await readTask(opened.db, body.taskId))?.holder).toEqual(body.holder)
  })

  it('undoes everything when the transaction fails afterwards', async () => {
    const submit = aCommand('submit')
    const failing = opened.db.write(async (tx) => {
      await service.handle(tx, A, submit)
      throw new Error('the disk is full')
    })
    await expect(failing).rejects.toThrow('the disk is full')
    expect(await readTask(opened.db, submit.taskId)).toBeUndefined()
    expect([await outbox.answers(), await outbox.events(), live]).toEqual([[], [], []])
  })

  it('answers a command that is not well formed if it says its number, and keeps no content of it', async () => {
    const { sealed: _, ...command } = aCommand('submit')
    await opened.db.write((tx) => service.handle(tx, A, command))
    expect(await answerTo(command)).toMatchObject({
      outcome: 'refused',
      problem: { code: 'request/invalid', facts: { issues: [{ path: 'sealed' }] } },
    })
    expect((await refusals())[0]?.facts).not.toContain('张')
    await expect(opened.db.write((tx) => service.handle(tx, A, { type: 'claim' }))).rejects.toMatchObject({ code: 'request/invalid' })
  })

  it('refuses a grant that was not signed by the owner, and a command in the name of another hospital', async () => {
    const facts = someFacts()
    const forged = aCommand('submit', { facts: { ...facts, grant: { ...facts.grant, signature: 'forged' } } })
    await send(forged)
    expect(await answerTo(forged)).toMatchObject({ problem: { code: 'access/grant-invalid' } })
    const foreign = aCommand('submit')
    await opened.db.write((tx) => service.handle(tx, B, foreign))
    expect(await outbox.answers(B)).toMatchObject([{ body: { outcome: 'refused', problem: { code: 'envelope/wrong-sender' } } }])
  })
})

describe('a hub that came back from its backup', () => {
  /** The day as it was: four steps of two hospitals. What nodes remember of it is left when the ledger is lost. */
  async function aDay() {
    const submit = aCommand('submit')
    const { taskId } = submit
    const commands = [submit, aCommand('claim', { taskId }), aCommand('start', { taskId }), aCommand('sign', { taskId })] as const
    for (const command of commands) await send(command)
    const timeline = await readTimeline(opened.db, taskId)
    const steps = (await outbox.events(C)).map(({ body: { revision, commandId, sequencedAt } }) => ({ taskId, revision, commandId, sequencedAt }))
    for (const table of ['consult_command', 'consult_event', 'consult_offer', 'consult_task']) await opened.db.run(`DELETE FROM ${table}`)
    clock += 1_000_000
    return { taskId, timeline, steps, commands }
  }
  const remember = (steps: Awaited<ReturnType<typeof aDay>>['steps']) => opened.db.write((tx) => keepOrder(tx, steps, clock))

  it('has the ledger that it had, to the millisecond, in whatever order the hospitals send again', async () => {
    // AGT-06, CON-18, SEC-15
    const { taskId, timeline, steps, commands: [submit, claim, start, sign] } = await aDay() // prettier-ignore
    expect(await remember(steps)).toBe(4)
    expect(await remember(steps)).toBe(0) // another node remembers the same
    for (const command of [claim, start, sign]) await send(command) // the expert's hospital was quicker
    expect(await readTask(opened.db, taskId)).toBeUndefined()
    expect(await answerTo(claim)).toMatchObject({ outcome: 'accepted' }) // the answer of then; none was given meanwhile
    await send(submit)
    expect(await readTimeline(opened.db, taskId)).toEqual(timeline)
    // Work goes on from there, at its own time.
    await send(aCommand('return', { taskId }))
    expect(await readTask(opened.db, taskId)).toMatchObject({ state: 'returned', revision: 5 })
    expect(await opened.db.all('SELECT * FROM consult_order')).toEqual([])
    expect(await opened.db.all('SELECT * FROM consult_early')).toEqual([])
  })

  it('lets new work wait behind what is still to come, so that no two histories of one task arise', async () => {
    const { taskId, steps, timeline, commands: [submit, claim, start, sign] } = await aDay() // prettier-ignore
    await remember(steps)
    await send(submit)
    await send(aCommand('cancel', { taskId })) // the submitter's page has not heard of the claim either, or would not offer it
    expect(await readTask(opened.db, taskId)).toMatchObject({ revision: 1, state: 'submitted' })
    for (const command of [claim, start, sign]) await send(command)
    expect(await readTimeline(opened.db, taskId)).toEqual(timeline)
    expect((await refusals()).map(({ code }) => code)).toEqual(['consult/already-signed'])
  })

  it('goes on without a step that nobody sends again', async () => {
    const { taskId, steps, commands: [submit, , start] } = await aDay() // prettier-ignore
    await remember(steps)
    await send(submit)
    await send(start)
    expect(await service.giveUpWaiting(opened.db, clock - 10)).toBe(0)
    expect(await service.giveUpWaiting(opened.db, clock + 10)).toBe(1)
    expect((await refusals()).map(({ code }) => code)).toEqual(['consult/not-holder'])
    await send(aCommand('claim', { taskId }))
    expect(await readTask(opened.db, taskId)).toMatchObject({ revision: 2 })
  })
})
