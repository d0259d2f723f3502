import { describe, expect, it } from 'vitest'
import { isProblem, type ConsultCommand } from 'specs'
import {
  A,
  aCommand,
  aTaskId,
  anActor,
  aTask,
  B,
  C,
  centre,
  decideNow,
  sealedFor,
  someFacts,
  toPool,
} from '../../tests/support/builders.ts'
import type { Task } from './task.ts'

const claim = () => aCommand('claim')
const signed = () => aTask(claim(), aCommand('start'), aCommand('sign'))

function codeOf(task: Task | undefined, command: ConsultCommand): string {
  try {
    return decideNow(task, command).kind
  } catch (error) {
    if (isProblem(error)) return error.code
    throw error
  }
}

describe('the course of a consultation', () => {
  it('goes from application to reading, each step with time, person and hospital', () => {
    // CON-01
    const course = [aCommand('submit'), claim(), aCommand('start'), aCommand('sign'), aCommand('return'), aCommand('read')]
    let task: Task | undefined
    const seen = course.map((command, n) => {
      const decision = decideNow(task, command, { now: 2_000 + n })
      if (decision.kind !== 'recorded') throw new Error(`${command.type} was not recorded`)
      task = decision.task
      const { revision, type, state, by, at, sequencedAt } = decision.event
      return [revision, type, state, by.hospitalId, by.name, at, sequencedAt]
    })
    expect(seen).toEqual([
      [1, 'submitted', 'submitted', A, '医生 li', 1_000, 2_000],
      [2, 'claimed', 'accepted', C, '医生 wang', 1_000, 2_001],
      [3, 'started', 'started', C, '医生 wang', 1_000, 2_002],
      [4, 'signed', 'signed', C, '医生 wang', 1_000, 2_003],
      [5, 'returned', 'returned', A, '医生 li', 1_000, 2_004],
      [6, 'read', 'read', A, '医生 li', 1_000, 2_005],
    ])
    expect(task?.holder).toMatchObject({ userId: 'wang' })
  })

  it('takes repeated steps as done', () => {
    const started = aTask(claim(), aCommand('start'))
    expect(decideNow(started, aCommand('start'))).toEqual({ kind: 'repeated', revision: 3 })
    const read = aTask(claim(), aCommand('sign'), aCommand('return'), aCommand('read'))
    expect(decideNow(read, aCommand('read'))).toEqual({ kind: 'repeated', revision: 5 })
    expect(decideNow(read, aCommand('return'))).toEqual({ kind: 'repeated', revision: 5 })
  })

  it('enters every printing by those who hold the opinion, and stays where it is', () => {
    // CON-01, CON-28
    const read = aTask(claim(), aCommand('sign'), aCommand('return'), aCommand('read'))
    const first = decideNow(read, aCommand('print'))
    expect(first).toMatchObject({ kind: 'recorded', event: { type: 'printed', revision: 6, state: 'read', by: { hospitalId: A } } })
    if (first.kind !== 'recorded') return
    const byTheSigner = aCommand('print', { by: anActor(C, 'wang') })
    expect(decideNow(first.task, byTheSigner)).toMatchObject({ kind: 'recorded', event: { revision: 7, by: { hospitalId: C } } })
    expect(codeOf(read, aCommand('print', { by: anActor(B, 'sun') }))).not.toBe('recorded')
    expect(codeOf(aTask(claim()), aCommand('print'))).toBe('consult/not-open')
  })

  it('may be signed without a separate opening, and read before the node said that it returned', () => {
    const task = aTask(claim(), aCommand('sign'), aCommand('read'))
    expect(task.state).toBe('read')
  })

  it('lets only the holder open and sign', () => {
    const colleague = anActor(C, 'sun')
    expect(codeOf(aTask(claim()), aCommand('start', { by: colleague }))).toBe('consult/not-holder')
    expect(codeOf(aTask(claim()), aCommand('sign', { by: colleague }))).toBe('consult/not-holder')
    expect(codeOf(aTask(), aCommand('sign'))).toBe('consult/not-holder')
    expect(codeOf(signed(), aCommand('sign'))).toBe('consult/not-open')
    expect(codeOf(aTask(aCommand('cancel')), aCommand('sign'))).toBe('consult/not-open')
  })

  it('refuses an opinion that the submitter could not open', () => {
    expect(codeOf(aTask(claim()), aCommand('sign', { sealed: sealedFor(C) }))).toBe('envelope/wrong-audience')
  })

  it('lets only the submitter return, read and cancel', () => {
    for (const type of ['return', 'read', 'cancel'] as const) {
      expect(codeOf(signed(), aCommand(type, { by: anActor(C, 'wang') }))).toBe('consult/not-yours')
      expect(codeOf(signed(), aCommand(type, { by: anActor(B) }))).toBe('consult/not-yours')
    }
    expect(codeOf(aTask(claim()), aCommand('return'))).toBe('consult/not-open')
    expect(codeOf(aTask(claim()), aCommand('read'))).toBe('consult/not-open')
  })

  it('knows no task but those submitted to it', () => {
    expect(codeOf(undefined, aCommand('start', { taskId: aTaskId() }))).toBe('consult/unknown-task')
  })
})

describe('cancelling a consultation', () => {
  it('withdraws it before the signature, whoever holds it', () => {
    // CON-20
    for (const task of [aTask(), aTask(claim()), aTask(claim(), aCommand('start'))]) {
      const decision = decideNow(task, aCommand('cancel', { reason: '重复申请' }))
      if (decision.kind !== 'recorded') throw new Error('not recorded')
      expect(decision.event).toMatchObject({ type: 'cancelled', state: 'cancelled', reason: '重复申请' })
      expect(decision.event.holder).toBeUndefined()
    }
  })

  it('is refused after the signature, with the reason', () => {
    // CON-20
    const course = [claim(), aCommand('sign'), aCommand('return'), aCommand('read')] as const
    for (const length of [2, 3, 4]) expect(codeOf(aTask(...course.slice(0, length)), aCommand('cancel'))).toBe('consult/already-signed')
  })

  it('happens once, and not to a task that was declined', () => {
    expect(decideNow(aTask(aCommand('cancel')), aCommand('cancel'))).toEqual({ kind: 'repeated', revision: 2 })
    expect(codeOf(aTask(aCommand('decline')), aCommand('cancel'))).toBe('consult/not-open')
  })
})

describe('images that went ahead', () => {
  const toCentre = () => {
    const decision = decideNow(undefined, aCommand('submit', { facts: someFacts({ imagesTo: 'data-centre' }) }))
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    return decision.task
  }

  it('are reported by each named receiver once, without touching the state', () => {
    // CON-10
    const decision = decideNow(toCentre(), aCommand('images-arrived', { by: anActor(centre, 'agent') }))
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    expect(decision.event).toMatchObject({ type: 'images-arrived', state: 'submitted', instanceCount: 60, sizeBytes: 31_000_000 })
    expect(decision.task.imagesArrivedAt).toEqual([centre])
    expect(decideNow(decision.task, aCommand('images-arrived', { by: anActor(centre, 'agent') }))).toEqual({
      kind: 'repeated',
      revision: 2,
    })
    expect(codeOf(decision.task, aCommand('images-arrived'))).toBe('recorded')
  })

  it('are not reported by others, nor for a withdrawn task', () => {
    const arrivedAt = (hospitalId: typeof A) => aCommand('images-arrived', { by: anActor(hospitalId, 'agent') })
    expect(codeOf(aTask(), arrivedAt(centre))).toBe('consult/not-offered-here')
    expect(codeOf(aTask(), arrivedAt(B))).toBe('consult/not-offered-here')
    expect(codeOf(aTask(), arrivedAt(A))).toBe('consult/not-offered-here')
    expect(codeOf(aTask(aCommand('cancel')), arrivedAt(C))).toBe('consult/not-open')
    expect(codeOf(signed(), arrivedAt(C))).toBe('recorded')
  })

  it('reach every pool member that was asked', () => {
    const decision = decideNow(undefined, aCommand('submit', { facts: toPool() }))
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    expect(codeOf(decision.task, aCommand('images-arrived', { by: anActor(B, 'agent') }))).toBe('recorded')
  })
})
