import { describe, expect, it } from 'vitest'
import { MessageId, Problem, type ConsultApplication, type ConsultFacts, type HospitalConfig } from 'specs'
import { A, B, C, CENTRE, NOW } from '../access/builders.ts'
import { afterAnswer } from './arrivals.ts'
import { aConsultAt, aDirectory, aHospital, anEvent, by, someFacts } from './builders.ts'
import { followEvent, isListed } from './consult.ts'
import { decideApplication } from './decide-application.ts'
import { decideFetch } from './decide-fetch.ts'

const toPool = (change: Partial<ConsultFacts> = {}) => someFacts({ target: { kind: 'pool' }, ...change })
const commandId = MessageId.parse('0f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b11')

describe('a consultation as a hospital follows it', () => {
  it('has a side: who asked, who may answer, through whom images pass', () => {
    expect([A, C, CENTRE].map((id) => aConsultAt(id).side)).toEqual(['submitter', 'processor', 'data-centre'])
    expect([B, C, CENTRE].map((id) => aConsultAt(id, toPool()).side)).toEqual(['processor', 'processor', 'data-centre'])
  })
  it('takes the steps in the order of the hub, each once', () => {
    // CON-18, AGT-06
    const claimed = followEvent(aConsultAt(C), anEvent('claimed', 2, { by: by(C), holder: { ...by(C), since: NOW } }))
    expect(claimed).toMatchObject({ state: 'accepted', revision: 2, holder: { hospitalId: C } })
    expect(followEvent(claimed, anEvent('submitted', 1))).toBe(claimed)
    const released = followEvent(claimed, anEvent('released', 3, { by: by(C) }))
    expect(released).toMatchObject({ state: 'submitted', holder: null, revision: 3 })
  })
  it('leaves the list of everybody but its holder when it is taken, and comes back when it is given back', () => {
    // CON-11
    const facts = toPool()
    const claim = anEvent('claimed', 2, { by: by(B), holder: { ...by(B), since: NOW } })
    const [atB, atC] = [followEvent(aConsultAt(B, facts), claim), followEvent(aConsultAt(C, facts), claim)]
    expect([isListed(atB, B), isListed(atC, C)]).toEqual([true, false])
    expect(isListed(followEvent(atC, anEvent('released', 3, { by: by(B) })), C)).toBe(true)
  })
  it('leaves every processor list when it is cancelled, and stays on the list of who asked', () => {
    // CON-20
    const cancelled = anEvent('cancelled', 2)
    expect(isListed(followEvent(aConsultAt(C), cancelled), C)).toBe(false)
    expect(isListed(followEvent(aConsultAt(A), cancelled), A)).toBe(true)
  })
  it('leaves only the list of the pool member that declined', () => {
    const declined = anEvent('declined', 2, { by: by(B), state: 'submitted' })
    expect(isListed(followEvent(aConsultAt(B, toPool()), declined), B)).toBe(false)
    expect(isListed(followEvent(aConsultAt(C, toPool()), declined), C)).toBe(true)
  })
})

describe('the answer to a command', () => {
  const pending = { ...aConsultAt(A), state: 'queued', revision: 0, pending: { commandId, type: 'submit', userId: 'wang' } } as const
  const refusal = {
    outcome: 'refused',
    commandId,
    taskId: pending.taskId,
    problem: { code: 'region/flow-mode-disabled', facts: {} },
  } as const
  it('that refuses an application ends it and shows why', () => {
    // AGT-07
    expect(afterAnswer(pending, refusal, 'submit')).toMatchObject({
      state: 'refused',
      pending: null,
      problem: { code: 'region/flow-mode-disabled' },
    })
  })
  it('that refuses a later command leaves the task where it is', () => {
    const claimed = { ...aConsultAt(C), pending: { commandId, type: 'claim', userId: 'zhao' } }
    expect(afterAnswer(claimed, { ...refusal, problem: { code: 'consult/stale-revision', facts: {} } }, 'claim')).toMatchObject({
      state: 'submitted',
      revision: 1,
      pending: null,
      problem: { code: 'consult/stale-revision' },
    })
  })
  it('that a colleague was quicker leaves no problem on the page of the one who holds the case', () => {
    // COR-15
    const claimed = { ...aConsultAt(C), pending: { commandId, type: 'claim', userId: 'zhao' } }
    expect(afterAnswer(claimed, { ...refusal, problem: { code: 'consult/held', facts: {} } }, 'claim')).toMatchObject({ pending: null, problem: null })
  })
})

describe('where images go ahead', () => {
  const submitted = (facts: ConsultFacts) => anEvent('submitted', 1, { facts })
  const claimedBy = (id: typeof B) => anEvent('claimed', 2, { by: by(id), holder: { ...by(id), since: NOW } })
  const arrivedAt = (id: typeof B, revision = 2) => anEvent('images-arrived', revision, { by: by(id) })

  it('to the named hospital at once', () => {
    // CON-09, CON-10
    expect(decideFetch(aConsultAt(C), submitted(someFacts()), C)).toEqual({ kind: 'fetch', from: A })
  })
  it('nowhere when the processor will pull them', () => {
    // FED-10
    const facts = someFacts({ mode: 'pull', imagesTo: 'none' })
    expect(decideFetch(aConsultAt(C, facts), submitted(facts), C)).toEqual({ kind: 'nothing' })
  })
  it('to whoever of the pool takes the case, and to nobody before', () => {
    const consult = aConsultAt(B, toPool())
    expect(decideFetch(consult, submitted(toPool()), B)).toEqual({ kind: 'nothing' })
    expect(decideFetch(followEvent(consult, claimedBy(B)), claimedBy(B), B)).toEqual({ kind: 'fetch', from: A })
    expect(decideFetch(followEvent(aConsultAt(C, toPool()), claimedBy(B)), claimedBy(B), C)).toEqual({ kind: 'stop' })
  })
  it('to the data centre first, and from there to the named hospital', () => {
    // CON-10, FED-11
    const facts = someFacts({ imagesTo: 'data-centre' })
    expect(decideFetch(aConsultAt(CENTRE, facts), submitted(facts), CENTRE)).toEqual({ kind: 'fetch', from: A })
    expect(decideFetch(aConsultAt(C, facts), submitted(facts), C)).toEqual({ kind: 'nothing' })
    expect(decideFetch(followEvent(aConsultAt(C, facts), arrivedAt(CENTRE)), arrivedAt(CENTRE), C)).toEqual({ kind: 'fetch', from: CENTRE })
  })
  it('from the data centre to a pool member that took the case before or after they arrived there', () => {
    const facts = toPool({ imagesTo: 'data-centre' })
    const arrived = anEvent('images-arrived', 3, { by: by(CENTRE), state: 'accepted', holder: { ...by(B), since: NOW } })
    const early = followEvent(aConsultAt(B, facts), claimedBy(B))
    expect(decideFetch(early, claimedBy(B), B)).toEqual({ kind: 'nothing' })
    expect(decideFetch(followEvent(early, arrived), arrived, B)).toEqual({ kind: 'fetch', from: CENTRE })
    const late = followEvent(aConsultAt(B, facts), arrivedAt(CENTRE, 2))
    const claim = anEvent('claimed', 3, { by: by(B), holder: { ...by(B), since: NOW } })
    expect(decideFetch(followEvent(late, claim), claim, B)).toEqual({ kind: 'fetch', from: CENTRE })
  })
  it('nowhere any more once the task is cancelled', () => {
    const cancelled = anEvent('cancelled', 2)
    expect(decideFetch(followEvent(aConsultAt(C), cancelled), cancelled, C)).toEqual({ kind: 'stop' })
  })
})

describe('an application', () => {
  const { certificate: _c, revoked: _r, ...us } = aHospital(A, ['submitter'])
  const application = (change: Partial<ConsultApplication> = {}): ConsultApplication => ({
    taskId: aConsultAt(A).taskId, examId: 'e1', mode: 'push', target: { kind: 'hospital', hospitalId: C }, imagesTo: 'processor', urgency: 'routine', question: '?', ...change,
  }) // prettier-ignore
  const codeOf = (work: () => unknown) => {
    try {
      return work()
    } catch (error) {
      return error instanceof Problem ? error.code : error
    }
  }
  const decide = (change: Partial<ConsultApplication> = {}, hospital: HospitalConfig = us, directory = aDirectory()) =>
    codeOf(() => decideApplication(application(change), hospital, directory))

  it('goes to the named hospital, or to all who can consult, with a data centre only when images go there', () => {
    expect(decide()).toEqual({ processors: [C], dataCentres: [] })
    expect(decide({ target: { kind: 'pool' }, imagesTo: 'data-centre' })).toEqual({ processors: [B, C], dataCentres: [CENTRE] })
  })
  it('is refused where the region does not allow it', () => {
    // FED-12, FED-13, FED-14
    expect(decide({}, { ...us, kinds: ['processor'] })).toBe('region/not-a-submitter')
    expect(decide({}, { ...us, taskTypes: ['review'] })).toBe('region/task-type-disabled')
    expect(decide({}, { ...us, flowModes: ['pull'] })).toBe('region/flow-mode-disabled')
    expect(decide({ target: { kind: 'hospital', hospitalId: CENTRE } })).toBe('region/not-a-processor')
    expect(decide({ mode: 'pull' })).toBe('request/invalid')
    expect(decide({ imagesTo: 'data-centre' }, us, aDirectory([aHospital(C, ['processor'])]))).toBe('region/no-data-centre')
    expect(decide({}, us, aDirectory([{ ...aHospital(C, ['processor']), certificate: '' }]))).toBe('region/not-a-processor')
    expect(decide({}, us, aDirectory([]))).toBe('region/unknown-hospital')
  })
})
