import { createLog, type User } from 'service-kit'
import type { LiveEvent } from 'specs'
import { describe, expect, it, vi } from 'vitest'
import type { Consult } from '../consult/consult.ts'
import { A, B, C, CHEST, NOW, aRule, aTask, noRules, somebody, someFacts } from './builders.ts'
import { decideTask } from './decide-access.ts'
import { LiveAudience } from './live-audience.ts'
import { RuleBook } from './policy/rule-book.ts'
import { subjectOf, type Person } from './policy/subject.ts'
import { StudyAudience, type StudyAudienceParts } from './study-audience.ts'

const user = (person: Person) => person as User
const expert = user(somebody('expert', ['expert']))
const usExpert = user(somebody('us', ['expert'], { scope: { modalities: ['US'] } }))
const doctor = user(somebody('doctor', ['doctor']))
const admin = user(somebody('admin', ['admin']))
const technician = user(somebody('technician', ['technician']))

const aConsult = (change: Partial<Consult> = {}): Consult => {
  const { taskId, submitter, state, holder, offeredTo, studyInstanceUids } = aTask()
  const facts = { modality: 'CT', studyInstanceUids, grant: { grant: { expires: NOW + 1_000 } } }
  return { taskId, submitter, state, holder, offeredTo, facts, side: 'processor', examId: null, ...change } as unknown as Consult
}
/** C, where A's chest CT is offered to. */
const atC = (change: Partial<StudyAudienceParts> = {}, consults: readonly Consult[] = [aConsult()]) =>
  new StudyAudience({
    access: {
      hospitalId: C,
      maySee: () => false,
      mayListTask: (person, modality) => decideTask({ subject: subjectOf(person), modality, policy: noRules, now: NOW }).allowed,
    },
    factsOf: () => Promise.resolve(undefined),
    consultsOfStudy: () => Promise.resolve(consults),
    heldGrants: () => Promise.resolve([]),
    now: () => NOW,
    ...change,
  })

describe('a task of another hospital', () => {
  it('is for those whose right to process reaches its modality, and whom no rule keeps out', () => {
    // SEC-03, CON-11
    const ask = (person: Person, modality = 'CT', rules = noRules.rules) => decideTask({ subject: subjectOf(person), modality, policy: { ...noRules, rules }, now: NOW })
    expect(ask(expert)).toMatchObject({ allowed: true })
    expect(ask(usExpert)).toMatchObject({ code: 'access/out-of-scope' })
    expect(ask(usExpert, 'US')).toMatchObject({ allowed: true })
    expect(ask(doctor)).toMatchObject({ code: 'access/forbidden' })
    const noCt = new RuleBook([aRule({ subject: { kind: 'user', id: 'expert' }, object: { kind: 'modality', id: 'CT' } })])
    expect(ask(expert, 'CT', noCt)).toMatchObject({ code: 'access/rule-denied', facts: { ruleId: 'r1' } })
    expect(ask(expert, 'US', noCt)).toMatchObject({ allowed: true })
  })
})

describe('who may have a study on a list, whatever the list is of', () => {
  it('are at the processor those who may have its task on theirs', async () => {
    // SEC-03
    const may = await atC().ofStudy(CHEST, A)
    expect([expert, usExpert, doctor, admin].map(may)).toEqual([true, false, false, false])
    const ofB = await atC().ofStudy(CHEST, B)
    expect(ofB(expert)).toBe(false) // the same number of another hospital is another study
  })

  it('no longer are, once the case has left the lists; they still hear how it ends', async () => {
    // COR-15, SEC-03
    const taken = atC({}, [aConsult({ state: 'cancelled' })])
    expect((await taken.ofStudy(CHEST, A, 'listed'))(expert)).toBe(false)
    expect((await taken.ofStudy(CHEST, A, 'known'))(expert)).toBe(true)
  })

  it('are with a grant the person it was given to, until it ends or is taken back', async () => {
    // FED-37
    const grant = { grantId: 'g1', owner: A, person: 'doctor', studyInstanceUids: [CHEST], kind: 'consent', purpose: 'treatment', expires: NOW + 1, withdrawnAt: null }
    const given = async (change: object) => (await atC({ heldGrants: () => Promise.resolve([{ ...grant, ...change }] as never) }, []).ofStudy(CHEST, A))(doctor)
    expect(await given({})).toBe(true)
    expect(await given({ person: 'somebody else' })).toBe(false)
    expect(await given({ expires: NOW })).toBe(false)
    expect(await given({ withdrawnAt: NOW - 1 })).toBe(false)
  })

  it('are of an exam of ours those whom the policy lets list it', async () => {
    const maySee = vi.fn((person: Person) => person.id === 'doctor')
    const audience = atC({ access: { hospitalId: C, maySee, mayListTask: () => false }, factsOf: () => Promise.resolve(someFacts({ owner: C })) }, [])
    const may = await audience.ofStudy(CHEST, C)
    expect([doctor, technician, admin].map(may)).toEqual([true, false, false])
    expect(maySee).toHaveBeenCalledWith(doctor, 'list', someFacts({ owner: C }))
    expect((await audience.ofStudy(CHEST, A))(doctor)).toBe(false)
  })

  it('are at a data centre those who read images or look after the service', async () => {
    // FED-21
    const may = await atC({}, [aConsult({ side: 'data-centre' })]).ofStudy(CHEST, A)
    const registrar = user(somebody('registrar', ['registrar']))
    expect([technician, admin, registrar].map(may)).toEqual([true, true, false])
  })
})

describe('live events', () => {
  const heard = async (event: LiveEvent, listener: User) => {
    const told: LiveEvent[] = []
    const publish = (one: LiveEvent, forWhom: (user: User) => boolean) => (forWhom(listener) ? void told.push(one) : undefined)
    const live = new LiveAudience({ studies: atC(), consultOf: () => Promise.resolve(aConsult()), log: createLog({ name: 'test', level: 'silent' }), publish })
    live.publish(event)
    live.publish({ type: 'audit', state: 'ok' })
    await vi.waitFor(() => expect(told.at(-1)?.type).toBe('audit'))
    return told.slice(0, -1)
  }
  const moving = { type: 'transfer', studyInstanceUid: CHEST, instancesDone: 1, instancesTotal: 9, state: 'running' } as const

  it('of transfers name the study to those who may list it; administrators hear that something moves, others nothing', async () => {
    // SEC-03
    expect(await heard(moving, expert)).toEqual([moving])
    expect(await heard(moving, usExpert)).toEqual([])
    expect(await heard(moving, technician)).toEqual([])
    expect(await heard(moving, admin)).toEqual([{ ...moving, studyInstanceUid: '' }])
  })

  it('of tasks and withdrawn grants reach nobody beyond the scope', async () => {
    // SEC-03
    const claimed = { type: 'consult', taskId: aConsult().taskId, state: 'accepted', revision: 2 } as const
    expect(await heard(claimed, expert)).toEqual([claimed])
    expect(await heard(claimed, usExpert)).toEqual([])
    const withdrawn: LiveEvent = { type: 'grant', grantId: 'g1', studyInstanceUids: [CHEST], state: 'withdrawn' }
    expect(await heard(withdrawn, expert)).toEqual([withdrawn])
    expect(await heard(withdrawn, usExpert)).toEqual([])
    expect(await heard(withdrawn, user(somebody('records', ['records'])))).toEqual([withdrawn])
    expect(await heard(withdrawn, user(somebody('registrar', ['registrar'])))).toEqual([{ ...withdrawn, studyInstanceUids: [] }])
  })
})
