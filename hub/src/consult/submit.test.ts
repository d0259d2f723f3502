import { describe, expect, it } from 'vitest'
import { Problem } from 'specs'
import {
  A,
  aCommand,
  anActor,
  aRegistry,
  B,
  C,
  centre,
  decideNow,
  hospital,
  sealedFor,
  someFacts,
  toPool,
} from '../../tests/support/builders.ts'
import { concerned } from './task.ts'

const submit = (facts = someFacts(), over: Record<string, unknown> = {}) => aCommand('submit', { facts, ...over })

function refusal(work: () => unknown): Pick<Problem, 'code' | 'facts'> {
  try {
    work()
  } catch (error) {
    if (error instanceof Problem) return { code: error.code, facts: error.facts }
    throw error
  }
  throw new Error('was not refused')
}

describe('submitting a consultation', () => {
  it('opens the task at revision 1 with facts and sealed request, offered to the named hospital alone', () => {
    // CON-01, CON-09
    const command = submit()
    const decision = decideNow(undefined, command)
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    expect(decision.event).toMatchObject({
      type: 'submitted',
      revision: 1,
      state: 'submitted',
      submitter: A,
      sequencedAt: 2_000,
      at: 1_000,
    })
    expect(decision.event.sealed).toBe(command.sealed)
    expect(decision.event.facts).toEqual(command.facts)
    expect(decision.task).toMatchObject({ offeredTo: [C], regionId: 'yunling', holderRevision: 1 }) // FED-20
    expect(concerned(decision.task)).toEqual([A, C])
  })

  it('concerns the data centre when images go ahead to it', () => {
    // CON-10
    const decision = decideNow(undefined, submit(someFacts({ imagesTo: 'data-centre' })))
    if (decision.kind !== 'recorded') throw new Error('not recorded')
    expect(concerned(decision.task)).toEqual([A, C, centre])
  })

  it('offers a pool task to every processor that the grant and the sealed request name, never back to the submitter', () => {
    const offered = (command: ReturnType<typeof submit>) => {
      const decision = decideNow(undefined, command)
      return decision.kind === 'recorded' ? decision.task.offeredTo : []
    }
    expect(offered(submit(toPool()))).toEqual([B, C])
    expect(offered(submit(toPool({}, { grantees: [C] })))).toEqual([C])
    expect(offered(submit(toPool(), { sealed: sealedFor(B) }))).toEqual([B])
    const fromB = submit(toPool({}, { owner: B }), { by: anActor(B) })
    expect(offered(fromB)).toEqual([C])
  })

  it.each<[string, Parameters<typeof refusal>[0], string]>([
    [
      'a hospital that only processes',
      () => decideNow(undefined, submit(someFacts({}, { owner: C }), { by: anActor(C) })),
      'region/not-a-submitter',
    ], // FED-12
    [
      'a review where only consultation is enabled',
      () => decideNow(undefined, submit(someFacts({ taskType: 'review' }))),
      'region/task-type-disabled',
    ], // FED-13
    [
      'push where only query is enabled',
      () => decideNow(undefined, submit(), { registry: aRegistry({ [A]: { flowModes: ['pull'] } }) }),
      'region/flow-mode-disabled',
    ], // FED-14
    [
      'an unknown target',
      () => decideNow(undefined, submit(someFacts({ target: { kind: 'hospital', hospitalId: 'nowhere' } }))),
      'region/unknown-hospital',
    ],
    [
      'a target that only submits',
      () => decideNow(undefined, submit(), { registry: aRegistry({ [C]: { kinds: ['submitter'] } }) }),
      'region/not-a-processor',
    ], // FED-12
    [
      'a target without consultation',
      () => decideNow(undefined, submit(), { registry: aRegistry({ [C]: { taskTypes: ['review'] } }) }),
      'region/task-type-disabled',
    ],
    [
      'a revoked target',
      () => decideNow(undefined, submit(), { registry: aRegistry({ [C]: { joined: false, revoked: true } }) }),
      'region/not-a-processor',
    ],
    [
      'a target that has not joined',
      () => decideNow(undefined, submit(), { registry: aRegistry({ [C]: { joined: false } }) }),
      'region/not-a-processor',
    ],
    [
      'its own hospital',
      () => decideNow(undefined, submit(someFacts({ target: { kind: 'hospital', hospitalId: B } }, { owner: B }), { by: anActor(B) })),
      'request/invalid',
    ],
    [
      'images to a data centre that does not exist',
      () =>
        decideNow(undefined, submit(someFacts({ imagesTo: 'data-centre' })), {
          registry: aRegistry({ [centre]: { kinds: ['processor'] } }),
        }),
      'region/no-data-centre',
    ],
    [
      'images to a data centre that the grant leaves out',
      () => decideNow(undefined, submit(someFacts({ imagesTo: 'data-centre' }, { grantees: [C] }))),
      'access/grant-invalid',
    ],
    [
      'a pull that sends images ahead',
      () => decideNow(undefined, submit(someFacts({ mode: 'pull', imagesTo: 'processor' }))),
      'request/invalid',
    ],
    ['a push that sends images nowhere', () => decideNow(undefined, submit(someFacts({ imagesTo: 'none' }))), 'request/invalid'],
    [
      'a pool without a processor',
      () => decideNow(undefined, submit(toPool()), { registry: aRegistry({ [B]: { joined: false }, [C]: { kinds: ['submitter'] } }) }),
      'consult/no-processor',
    ],
    ['a grant of another owner', () => decideNow(undefined, submit(someFacts({}, { owner: B }))), 'access/grant-invalid'],
    [
      'a grant for another task',
      () => decideNow(undefined, submit(someFacts({}, { taskId: crypto.randomUUID() }))),
      'access/grant-invalid',
    ],
    [
      'a grant for other images',
      () => decideNow(undefined, submit(someFacts({}, { studyInstanceUids: ['1.2.3'] }))),
      'access/grant-invalid',
    ],
    ['a grant that leaves the target out', () => decideNow(undefined, submit(someFacts({}, { grantees: [B] }))), 'access/grant-invalid'],
    ['a grant that is over', () => decideNow(undefined, submit(someFacts({}, { expires: 2_000 }))), 'access/grant-expired'],
    [
      'a request that the target cannot open',
      () => decideNow(undefined, submit(someFacts(), { sealed: sealedFor(B) })),
      'envelope/wrong-audience',
    ],
    [
      'a request that is not an envelope',
      () => decideNow(undefined, submit(someFacts(), { sealed: '{"header":"e30="}' })),
      'envelope/malformed',
    ],
  ])('refuses %s', (_what, work, code) => {
    expect(refusal(work).code).toBe(code)
  })

  it('lets a review pass as soon as it is enabled at both ends', () => {
    // FED-13
    const enabled = { taskTypes: ['writing', 'review'] as const }
    const decision = decideNow(undefined, submit(someFacts({ taskType: 'review' })), {
      registry: aRegistry({ [A]: enabled, [C]: enabled }),
    })
    expect(decision.kind).toBe('recorded')
  })

  it('lets a hospital with both modes push one exam and offer another by query, with no change between', () => {
    // FED-10, FED-14
    expect(decideNow(undefined, submit()).kind).toBe('recorded')
    expect(decideNow(undefined, submit(someFacts({ mode: 'pull', imagesTo: 'none' }))).kind).toBe('recorded')
  })

  it('tells which hospital and which type a refusal is about', () => {
    expect(refusal(() => decideNow(undefined, submit(someFacts({ taskType: 'review' })))).facts).toEqual({
      hospitalId: A,
      hospitalName: '医院 hospital-a',
      taskType: 'review',
    })
  })

  it('refuses a hospital that the registry does not know, one whose certificate is revoked, and one that speaks for another', () => {
    const stranger = submit(someFacts(), { by: anActor(hospital('stranger')) })
    expect(refusal(() => decideNow(undefined, stranger)).code).toBe('region/unknown-hospital')
    const registry = aRegistry({ [A]: { joined: false, revoked: true } })
    expect(refusal(() => decideNow(undefined, submit(), { registry })).code).toBe('certificate/revoked')
    expect(refusal(() => decideNow(undefined, submit(), { sender: B })).code).toBe('envelope/wrong-sender')
  })

  it('refuses a second submission under the same number', () => {
    const first = decideNow(undefined, submit())
    if (first.kind !== 'recorded') throw new Error('not recorded')
    expect(refusal(() => decideNow(first.task, submit(someFacts(), { taskId: first.task.id }))).code).toBe('consult/exists')
  })
})
