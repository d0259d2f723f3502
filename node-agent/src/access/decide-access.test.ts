import { describe, expect, it } from 'vitest'
import { TaskId } from 'specs'
import { A, B, C, CENTRE, CHEST, HEAD, NOW, TASK, aGrant, aPerson, aRequest, aTask, anAgentRequest, anExpertRequest, heldAt } from './builders.ts'
import { decideAccess } from './decide-access.ts'
import { deviceSubject } from './policy/subject.ts'

const codeOf = (decision: ReturnType<typeof decideAccess>) => (decision.allowed ? `allowed: ${decision.because}` : decision.code)

describe('people and exams of their own hospital', () => {
  it('lets a doctor see an exam of the own hospital', () => {
    expect(decideAccess(aRequest())).toEqual({ allowed: true, because: 'own-exam' })
  })
  it('lets an administrator keep the register, but neither see images nor write in a report', () => {
    expect(codeOf(decideAccess(aRequest({ doing: 'register', asker: aPerson('u0', 'admin') })))).toBe(
      'allowed: own-exam',
    )
    for (const doing of ['view', 'change', 'apply', 'store', 'export'] as const) {
      expect(codeOf(decideAccess(aRequest({ doing, asker: aPerson('u0', 'admin') })))).toBe('access/forbidden')
    }
  })
  it('lets only a doctor apply for a consultation', () => {
    expect(codeOf(decideAccess(aRequest({ doing: 'apply' })))).toBe('allowed: own-exam') // CON-02
    expect(codeOf(decideAccess(aRequest({ doing: 'apply', asker: aPerson('u2', 'technician') })))).toBe(
      'access/forbidden',
    )
  })
})

describe('experts and exams of another hospital', () => {
  it('lets an expert view what is offered to the own hospital', () => {
    expect(codeOf(decideAccess(anExpertRequest()))).toBe('allowed: task')
  })
  it('lets a doctor who is no expert view nothing of another hospital', () => {
    expect(codeOf(decideAccess(anExpertRequest({ asker: aPerson('u3', 'doctor') })))).toBe('access/forbidden')
  })
  it('refuses a study that no task names', () => {
    expect(codeOf(decideAccess(anExpertRequest({ exam: { owner: A, study: HEAD, kept: 'regional' } })))).toBe('access/no-grant')
  })
  it('refuses when the task belongs to a hospital other than the owner of the exam', () => {
    expect(codeOf(decideAccess(anExpertRequest({ exam: { owner: B, study: CHEST, kept: 'regional' } })))).toBe('access/no-grant')
  })
  it('refuses once another hospital holds the task and says which and since when', () => {
    // COR-15
    const decision = decideAccess(anExpertRequest({ tasks: [aTask({ offeredTo: [B, C], holder: heldAt(B), state: 'accepted' })] }))
    expect(decision).toMatchObject({ allowed: false, code: 'access/no-grant', facts: { heldBy: B, since: NOW - 1_000 } })
  })
  it('shows what another hospital was told in its task to nobody who has only an older task of the same study', () => {
    const old = aTask({ taskId: TaskId.parse('7f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b11'), holder: heldAt(C), state: 'read' })
    const tasks = [old, aTask({ offeredTo: [B, C], holder: heldAt(B), state: 'accepted' })]
    expect(codeOf(decideAccess(anExpertRequest({ tasks })))).toBe('allowed: task')
    expect(codeOf(decideAccess(anExpertRequest({ tasks, exam: { owner: A, study: CHEST, taskId: TASK, kept: 'regional' } })))).toBe(
      'access/no-grant',
    )
  })
  it('goes on showing a signed case to the hospital that held it', () => {
    expect(codeOf(decideAccess(anExpertRequest({ tasks: [aTask({ holder: heldAt(C), state: 'returned' })] })))).toBe('allowed: task')
  })
  it('shows a cancelled case to nobody', () => {
    // CON-20
    expect(codeOf(decideAccess(anExpertRequest({ tasks: [aTask({ holder: heldAt(C), state: 'cancelled' })] })))).toBe('access/no-grant')
  })
  it('lets nobody export or change an entrusted exam', () => {
    for (const doing of ['export', 'register', 'change', 'apply', 'store'] as const)
      expect(codeOf(decideAccess(anExpertRequest({ doing })))).toBe('access/forbidden')
  })
  it('shows the people of a data centre nothing of what passes through it', () => {
    const tasks = [aTask({ offeredTo: [C] })]
    expect(codeOf(decideAccess(anExpertRequest({ here: { hospitalId: CENTRE, kinds: ['data-centre'] }, tasks })))).toBe('access/no-grant')
  })
})

describe('the agent of another hospital', () => {
  it('receives the study its grant names', () => {
    // AGT-08
    expect(codeOf(decideAccess(anAgentRequest(aGrant())))).toBe('allowed: grant')
  })
  it('receives nothing without a grant', () => {
    expect(codeOf(decideAccess(anAgentRequest(undefined)))).toBe('access/no-grant')
  })
  it('receives nothing with a grant of another hospital, study or purpose', () => {
    expect(codeOf(decideAccess(anAgentRequest(aGrant({ grantees: [B] }))))).toBe('access/no-grant')
    expect(codeOf(decideAccess(anAgentRequest(aGrant({ studyInstanceUids: [HEAD] }))))).toBe('access/no-grant')
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { purpose: 'coread' })))).toBe('access/no-grant')
  })
  it('receives nothing with a forged grant, or one signed by somebody who is not the owner', () => {
    const forged = anAgentRequest(aGrant(), { asker: { kind: 'hospital', hospitalId: C, grant: { grant: aGrant(), genuine: false } } })
    expect(codeOf(decideAccess(forged))).toBe('access/grant-invalid')
    expect(codeOf(decideAccess(anAgentRequest(aGrant({ owner: B }))))).toBe('access/grant-invalid')
  })
  it('receives nothing before, at or after the end of the grant', () => {
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { now: NOW + 1_000 })))).toBe('access/grant-expired')
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { now: NOW - 2_000 })))).toBe('access/grant-expired')
  })
  it('receives nothing with a grant that the owner has withdrawn or never entered in its table', () => {
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { standing: { issued: true, withdrawnAt: NOW } })))).toBe('access/grant-withdrawn')
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { standing: { issued: false } })))).toBe('access/grant-invalid')
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { standing: undefined })))).toBe('access/grant-invalid')
  })
  it('receives nothing while another hospital of the pool holds the task', () => {
    const tasks = [aTask({ offeredTo: [B, C], holder: heldAt(B), state: 'started' })]
    expect(decideAccess(anAgentRequest(aGrant({ grantees: [B, C] }), { tasks }))).toMatchObject({
      code: 'access/no-grant',
      facts: { heldBy: B },
    })
  })
  it('that is the data centre goes on receiving when a hospital has taken the task', () => {
    const tasks = [aTask({ holder: heldAt(C), state: 'accepted' })]
    const asker = { kind: 'hospital', hospitalId: CENTRE, grant: { grant: aGrant(), genuine: true } } as const
    expect(codeOf(decideAccess(anAgentRequest(undefined, { tasks, asker })))).toBe('allowed: grant')
  })
  it('may not list, change or store', () => {
    for (const doing of ['list', 'change', 'store', 'apply', 'export'] as const)
      expect(codeOf(decideAccess(anAgentRequest(aGrant(), { doing })))).toBe('access/forbidden')
  })
  it('receives copies from a data centre by the signature of the owner, and from no other hospital', () => {
    const copy = { exam: { owner: A, study: CHEST, kept: 'regional' }, standing: undefined } as const
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { ...copy, here: { hospitalId: CENTRE, kinds: ['data-centre'] } })))).toBe(
      'allowed: grant',
    )
    expect(codeOf(decideAccess(anAgentRequest(aGrant(), { ...copy, here: { hospitalId: B, kinds: ['processor'] } })))).toBe(
      'access/no-grant',
    )
  })
})

describe('DICOM nodes of the house', () => {
  const ct = { kind: 'dicom-node', aeTitle: 'CT1', subject: deviceSubject('CT1', [{ permissions: ['store', 'query'], scope: {}, labels: [] }]) } as const
  it('store to and query the in-hospital archive when they are registered', () => {
    expect(codeOf(decideAccess(aRequest({ asker: ct, doing: 'store', exam: { owner: A, kept: 'in-hospital' } })))).toBe('allowed: dicom-node')
    expect(codeOf(decideAccess(aRequest({ asker: ct, doing: 'list' })))).toBe('allowed: dicom-node')
    expect(codeOf(decideAccess(aRequest({ asker: { ...ct, subject: undefined }, doing: 'store' })))).toBe('dimse/unknown-ae')
  })
  it('see nothing of the regional cache, except at a data centre', () => {
    // FED-21
    const regional = { asker: ct, doing: 'list', exam: { owner: A, kept: 'regional' } } as const
    expect(codeOf(decideAccess(aRequest({ ...regional, here: { hospitalId: C, kinds: ['processor'] } })))).toBe('access/no-grant')
    expect(codeOf(decideAccess(aRequest({ ...regional, here: { hospitalId: CENTRE, kinds: ['data-centre'] } })))).toBe(
      'allowed: dicom-node',
    )
  })
})
