import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem, type Holder } from 'specs'
import {
  A,
  aCommand,
  aMember,
  anActor,
  aRegistry,
  aTask,
  B,
  C,
  decideNow,
  hospital,
  sealedFor,
  toPool,
} from '../../tests/support/builders.ts'
import { Registry } from '../hospital/registry.ts'
import type { Decision, Task } from './task.ts'

function refusal(work: () => unknown): { code: string; facts: Readonly<Record<string, unknown>> } {
  try {
    work()
  } catch (error) {
    if (error instanceof Problem) return { code: error.code, facts: error.facts }
    throw error
  }
  throw new Error('was not refused')
}

function recorded(decision: Decision): Task {
  if (decision.kind !== 'recorded') throw new Error('nothing was recorded')
  return decision.task
}

const aPoolTask = () => recorded(decideNow(undefined, aCommand('submit', { facts: toPool() })))
const claimBy = (hospitalId: typeof A, userId: string, expectedRevision = 1) =>
  aCommand('claim', { by: anActor(hospitalId, userId), expectedRevision })

describe('claiming a consultation', () => {
  it('gives it to the first who asks, from then on', () => {
    // COR-14
    const task = recorded(decideNow(aPoolTask(), claimBy(C, 'wang'), { now: 5_000 }))
    expect(task).toMatchObject({
      state: 'accepted',
      revision: 2,
      holderRevision: 2,
      holder: { hospitalId: C, userId: 'wang', since: 5_000 },
    })
  })

  it('tells the second who holds it, at which hospital, and since when', () => {
    // COR-15
    const held = recorded(decideNow(aPoolTask(), claimBy(C, 'wang'), { now: 5_000 }))
    const { code, facts } = refusal(() => decideNow(held, claimBy(B, 'zhao'), { now: 6_000 }))
    expect(code).toBe('consult/held')
    expect(facts.by).toEqual({ hospitalId: C, userId: 'wang', name: '医生 wang', since: 5_000, hospitalName: '医院 hospital-c' })
  })

  it('tells a colleague of the same hospital the same', () => {
    const held = recorded(decideNow(aPoolTask(), claimBy(C, 'wang')))
    expect(refusal(() => decideNow(held, claimBy(C, 'sun'))).code).toBe('consult/held')
  })

  it('keeps the first claim time when the same person asks again', () => {
    const held = recorded(decideNow(aPoolTask(), claimBy(C, 'wang'), { now: 5_000 }))
    expect(decideNow(held, claimBy(C, 'wang', 2), { now: 9_000 })).toEqual({ kind: 'repeated', revision: 2 })
  })

  it('is not refused because images arrived in between', () => {
    const task = aTask(aCommand('images-arrived'))
    expect(decideNow(task, claimBy(C, 'wang', 1)).kind).toBe('recorded')
  })

  it('refuses a claim that waited while the task was taken and given back', () => {
    const task = aTask(claimBy(C, 'wang'), aCommand('release'))
    expect(refusal(() => decideNow(task, claimBy(C, 'sun', 1)))).toEqual({
      code: 'consult/stale-revision',
      facts: { expectedRevision: 1, revision: 3 },
    })
    expect(decideNow(task, claimBy(C, 'sun', 3)).kind).toBe('recorded')
  })

  it('refuses a claim of a revision that does not exist yet', () => {
    expect(refusal(() => decideNow(aTask(), claimBy(C, 'wang', 7))).code).toBe('consult/stale-revision')
  })

  it('refuses hospitals it was not offered to, submitters, and hospitals that lost the right', () => {
    // FED-12
    expect(refusal(() => decideNow(aTask(), claimBy(B, 'zhao'))).code).toBe('consult/not-offered-here')
    expect(refusal(() => decideNow(aTask(), claimBy(A, 'li'))).code).toBe('region/not-a-processor')
    const unconcerned = hospital('hospital-d')
    const registry = new Registry([...aRegistry().members, aMember(unconcerned, { kinds: ['submitter'] })])
    expect(refusal(() => decideNow(aTask(), claimBy(unconcerned, 'qian'), { registry })).code).toBe('region/not-a-processor')
    const lost = aRegistry({ [C]: { taskTypes: [] } })
    expect(refusal(() => decideNow(aTask(), claimBy(C, 'wang'), { registry: lost })).code).toBe('region/task-type-disabled')
  })

  it('refuses a task that is over, whatever its end', () => {
    const signed = aTask(claimBy(C, 'wang'), aCommand('sign'))
    const over = [signed, aTask(aCommand('cancel')), aTask(aCommand('decline'))]
    for (const task of over)
      expect(['consult/not-open', 'consult/not-offered-here']).toContain(refusal(() => decideNow(task, claimBy(C, 'sun'))).code)
    expect(refusal(() => decideNow(signed, claimBy(C, 'wang'))).code).toBe('consult/not-open')
  })

  it('leaves exactly one holder in whatever order ten doctors of three hospitals ask', () => {
    // COR-14
    const D = hospital('hospital-d')
    const registry = new Registry([...aRegistry().members, aMember(D)])
    const doctors = Array.from({ length: 10 }, (_, n) => anActor([B, C, D][n % 3], `doctor-${n}`))
    const facts = toPool({}, { grantees: [B, C, D] })
    const submitted = recorded(decideNow(undefined, aCommand('submit', { facts, sealed: sealedFor(B, C, D) }), { registry }))
    fc.assert(
      fc.property(fc.shuffledSubarray(doctors, { minLength: 10 }), (order) => {
        let task = submitted
        const refused: Holder[] = []
        for (const by of order) {
          try {
            const decision = decideNow(task, aCommand('claim', { by }), { registry })
            if (decision.kind === 'recorded') task = decision.task
          } catch (error) {
            if (!(error instanceof Problem) || error.code !== 'consult/held') throw error
            refused.push(error.facts.by as Holder)
          }
        }
        expect(task.holder).toMatchObject({ userId: order[0]?.userId, hospitalId: order[0]?.hospitalId })
        expect(refused).toHaveLength(9)
        expect(new Set(refused.map(({ userId }) => userId))).toEqual(new Set([order[0]?.userId]))
      }),
      { numRuns: 50 },
    )
  })
})

describe('giving a consultation back', () => {
  it('opens it again to all it was offered to', () => {
    const task = recorded(decideNow(recorded(decideNow(aPoolTask(), claimBy(C, 'wang'))), aCommand('release', { reason: '会议' })))
    expect(task).toMatchObject({ state: 'submitted', offeredTo: [B, C], declinedBy: [] })
    expect(task.holder).toBeUndefined()
    expect(decideNow(task, claimBy(B, 'zhao', 3)).kind).toBe('recorded')
  })

  it('is for the holder alone, who is named to others', () => {
    const held = recorded(decideNow(aPoolTask(), claimBy(C, 'wang')))
    const { code, facts } = refusal(() => decideNow(held, aCommand('release', { by: anActor(C, 'sun') })))
    expect(code).toBe('consult/not-holder')
    expect(facts.by).toMatchObject({ userId: 'wang', hospitalId: C })
    expect(refusal(() => decideNow(aPoolTask(), aCommand('release')))).toEqual({ code: 'consult/not-holder', facts: {} })
  })

  it('still works after the case was opened', () => {
    const task = recorded(decideNow(aTask(claimBy(C, 'wang'), aCommand('start')), aCommand('release')))
    expect(task.state).toBe('submitted')
  })
})

describe('declining a consultation', () => {
  it('ends it when the named hospital says no, and says why', () => {
    const decision = decideNow(aTask(), aCommand('decline', { reason: '无胸部专家' }))
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    expect(decision.event).toMatchObject({ type: 'declined', state: 'declined', reason: '无胸部专家' })
  })

  it('in the pool only takes it off that hospital’s list', () => {
    const task = recorded(decideNow(aPoolTask(), aCommand('decline')))
    expect(task).toMatchObject({ state: 'submitted', declinedBy: [C] })
    expect(refusal(() => decideNow(task, claimBy(C, 'wang', 2))).code).toBe('consult/not-offered-here')
    expect(decideNow(task, claimBy(B, 'zhao', 2)).kind).toBe('recorded')
    expect(decideNow(task, aCommand('decline'))).toEqual({ kind: 'repeated', revision: 2 })
  })

  it('frees it when its holder in the pool declines', () => {
    const task = recorded(decideNow(recorded(decideNow(aPoolTask(), claimBy(C, 'wang'))), aCommand('decline')))
    expect(task).toMatchObject({ state: 'submitted', declinedBy: [C] })
    expect(task.holder).toBeUndefined()
  })

  it('is refused while a colleague holds it, after the signature, and to hospitals it was not offered to', () => {
    const held = aTask(claimBy(C, 'wang'))
    expect(refusal(() => decideNow(held, aCommand('decline', { by: anActor(C, 'sun') }))).code).toBe('consult/held')
    expect(refusal(() => decideNow(aTask(claimBy(C, 'wang'), aCommand('sign')), aCommand('decline'))).code).toBe('consult/not-open')
    expect(refusal(() => decideNow(aTask(), aCommand('decline', { by: anActor(B) }))).code).toBe('consult/not-offered-here')
    expect(refusal(() => decideNow(aTask(), aCommand('decline', { by: anActor(A) }))).code).toBe('consult/not-offered-here')
  })
})
