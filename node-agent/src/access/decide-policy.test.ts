import { describe, expect, it } from 'vitest'
import { A, aGrant, anAgentRequest, anExpertRequest, aPerson, aRequest, aRule, aTask, C, noRules, NOW, somebody, someFacts } from './builders.ts'
import { decideAccess, type AccessRequest, type Policy } from './decide-access.ts'
import { deviceSubject, subjectOf } from './policy/subject.ts'
import { RuleBook } from './policy/rule-book.ts'
import type { AccessRule } from './policy/rule.ts'

const codeOf = (request: AccessRequest) => {
  const decision = decideAccess(request)
  return decision.allowed ? `allowed: ${decision.because}` : decision.code
}
const withRules = (...rules: AccessRule[]): Policy => ({ ...noRules, rules: new RuleBook(rules) })
const about = (facts: Parameters<typeof someFacts>[0]) => ({ ...aRequest().exam, facts: someFacts(facts) })
const doctor = (more: Parameters<typeof somebody>[2] = {}, ...roles: string[]) => ({ kind: 'user', subject: subjectOf(somebody('u1', roles.length > 0 ? roles : ['doctor'], more)) }) as const

describe('scopes', () => {
  it('keep a right to the places it was given for; several entitlements add up', () => {
    // REG-21, ULS-18
    const asker = doctor({ scope: { areas: ['总院放射'], modalities: ['CT'] } })
    expect(codeOf(aRequest({ asker }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ asker, exam: about({ area: '西院超声' }) }))).toBe('access/out-of-scope')
    expect(codeOf(aRequest({ asker, exam: about({ modality: 'MR' }) }))).toBe('access/out-of-scope')
    expect(codeOf(aRequest({ asker, exam: about({ area: '' }) }))).toBe('access/out-of-scope')
    const both = [...somebody('u1', ['doctor'], { scope: { areas: ['总院放射'] } }).entitlements, ...somebody('u1', ['doctor'], { scope: { areas: ['西院超声'] } }).entitlements]
    const widened = { kind: 'user', subject: subjectOf({ id: 'u1', entitlements: both }) } as const
    for (const area of ['总院放射', '西院超声']) expect(codeOf(aRequest({ asker: widened, exam: about({ area }) }))).toBe('allowed: own-exam')
  })
  it('hold for each right alone: reading everywhere is not changing everywhere', () => {
    // SEC-02
    const entitlements = [...somebody('u1', ['clinician']).entitlements, ...somebody('u1', ['doctor'], { scope: { areas: ['西院超声'] } }).entitlements]
    const asker = { kind: 'user', subject: subjectOf({ id: 'u1', entitlements }) } as const
    expect(codeOf(aRequest({ asker, doing: 'read' }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ asker, doing: 'change' }))).toBe('access/out-of-scope')
  })
  it('mean the modality alone where the exam is another hospital’s', () => {
    const expert = (scope: object) => ({ kind: 'user', subject: subjectOf(somebody('u9', ['expert'], { scope })) }) as const
    const tasks = [aTask({ modality: 'CT' })]
    expect(codeOf(anExpertRequest({ tasks, asker: expert({ campuses: ['总院'] }) }))).toBe('allowed: task')
    expect(codeOf(anExpertRequest({ tasks, asker: expert({ modalities: ['CT'] }) }))).toBe('allowed: task')
    expect(codeOf(anExpertRequest({ tasks, asker: expert({ modalities: ['US'] }) }))).toBe('access/out-of-scope')
  })
})

describe('rules', () => {
  it('deny before everything that allows', () => {
    // SEC-03
    const policy = withRules(aRule(), aRule({ ruleId: 'r2', effect: 'allow' }))
    expect(codeOf(aRequest({ policy }))).toBe('access/rule-denied')
    expect(codeOf(aRequest({ policy, asker: aPerson('u2', 'doctor') }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ policy, exam: about({ patientId: 'P2' }) }))).toBe('allowed: own-exam')
  })
  it('hold for what they name, in their time and hours', () => {
    // SEC-03; NOW is 2027-01-15
    const local = new Date(NOW)
    const minute = local.getHours() * 60 + local.getMinutes()
    const day = local.getDay() === 0 ? 7 : local.getDay()
    const denied = (change: Partial<AccessRule>, doing: AccessRequest['doing'] = 'view') => codeOf(aRequest({ doing, policy: withRules(aRule(change)) })) === 'access/rule-denied'
    expect([denied({ doings: ['export'] }), denied({ doings: ['export'] }, 'export')]).toEqual([false, true])
    expect([denied({ validUntil: NOW }), denied({ validUntil: NOW + 1 }), denied({ validFrom: NOW + 1 })]).toEqual([false, true, false])
    const hours = (fromMinute: number, untilMinute: number, days = [day]) => denied({ hours: { fromMinute, untilMinute, days } })
    expect([hours(0, 1_440), hours(minute, minute + 1), hours(minute + 1, 1_440), hours(0, 1_440, [(day % 7) + 1])]).toEqual([true, true, false, false])
    expect([hours(minute, minute), hours(minute + 2, minute + 1)]).toEqual([false, true]) // the second goes over midnight and leaves out one minute
  })
  it('reserve an exam for whom they name, by role, group or name', () => {
    // SEC-01, SEC-03
    const only = (subject: AccessRule['subject']) => withRules(aRule({ effect: 'only', subject, object: { kind: 'exam', id: 'e1' } }))
    expect(codeOf(aRequest({ policy: only({ kind: 'user', id: 'u2' }) }))).toBe('access/rule-denied')
    expect(codeOf(aRequest({ policy: only({ kind: 'role', id: 'doctor' }) }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ policy: only({ kind: 'group', id: 'g1' }), asker: doctor({ group: 'g1' }) }))).toBe('allowed: own-exam')
    const member = { kind: 'user', subject: subjectOf({ ...somebody('u1', ['doctor']), groups: ['g1'] }) } as const // a group that gives no role
    expect(codeOf(aRequest({ policy: withRules(aRule({ subject: { kind: 'group', id: 'g1' } })), asker: member }))).toBe('access/rule-denied')
  })
  it('never give a right that the role does not', () => {
    // SEC-02
    const policy = withRules(aRule({ effect: 'allow', subject: { kind: 'everybody' }, object: { kind: 'any' } }))
    expect(codeOf(aRequest({ policy, asker: aPerson('u1', 'security-admin') }))).toBe('access/forbidden')
  })
  it('about everything hold for general questions and for other hospitals’ exams too', () => {
    // SEC-03
    const policy = withRules(aRule({ object: { kind: 'any' }, subject: { kind: 'everybody' } }))
    expect(codeOf(aRequest({ policy, doing: 'list', exam: { owner: A, kept: 'in-hospital' } }))).toBe('access/rule-denied')
    expect(codeOf(anExpertRequest({ policy }))).toBe('access/rule-denied')
  })
  it('close a patient to another hospital in spite of its grant; what is reserved for staff is no obstacle to it', () => {
    // FED-37
    const exam = { ...anAgentRequest(aGrant()).exam, facts: someFacts() }
    const asked = (rule: AccessRule) => codeOf(anAgentRequest(aGrant(), { exam, policy: withRules(rule) }))
    expect(asked(aRule({ subject: { kind: 'hospital', id: C } }))).toBe('access/rule-denied')
    expect(asked(aRule({ subject: { kind: 'everybody' } }))).toBe('access/rule-denied')
    expect(asked(aRule({ subject: { kind: 'hospital', id: 'hospital-b' } }))).toBe('allowed: grant')
    expect(asked(aRule({ effect: 'only', subject: { kind: 'user', id: 'u2' } }))).toBe('allowed: grant')
  })
})

describe('relation, label and emergency', () => {
  const treating = { ...noRules, relation: 'treating' } as const
  it('ask who treats the patient where the hospital wants that', () => {
    // SEC-05
    expect(codeOf(aRequest({ policy: treating }))).toBe('access/no-relation')
    expect(codeOf(aRequest({ policy: treating, exam: about({ requestingPhysician: 'u1' }) }))).toBe('allowed: treating')
    expect(codeOf(aRequest({ policy: treating, asker: doctor({ department: '呼吸科' }) }))).toBe('allowed: treating')
    expect(codeOf(aRequest({ policy: treating, asker: doctor({ department: '放射科' }) }))).toBe('access/no-relation')
    expect(codeOf(aRequest({ policy: { ...noRules, relation: 'department' }, asker: doctor({ department: '放射科' }) }))).toBe('allowed: own-department')
    expect(codeOf(aRequest({ policy: treating, exam: about({ requestingDepartment: '' }), asker: doctor({ department: '' }) }))).toBe('access/no-relation') // nothing equals nothing
    expect(codeOf(aRequest({ policy: { ...treating, rules: new RuleBook([aRule({ effect: 'allow' })]) } }))).toBe('allowed: rule')
  })
  it('let registration and devices bring in what they need not see', () => {
    const exam = about({ label: 'vip' })
    expect(codeOf(aRequest({ policy: treating, doing: 'register', exam, asker: aPerson('u1', 'registrar') }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ policy: treating, doing: 'change', exam }))).toBe('access/no-relation')
  })
  it('ask for the clearance of a label; a rule for the class of all VIPs is none', () => {
    // SEC-07
    const exam = about({ label: 'vip' })
    expect(codeOf(aRequest({ exam }))).toBe('access/not-cleared')
    const [entitlement] = somebody('u1', ['doctor']).entitlements
    const cleared = subjectOf({ id: 'u1', entitlements: [{ ...entitlement!, rights: [...entitlement!.rights, 'label.vip'] }] })
    expect(codeOf(aRequest({ exam, asker: { kind: 'user', subject: cleared } }))).toBe('allowed: own-exam')
    expect(codeOf(aRequest({ exam, policy: withRules(aRule({ effect: 'allow', object: { kind: 'label', id: 'vip' } })) }))).toBe('access/not-cleared')
    expect(codeOf(aRequest({ exam, policy: withRules(aRule({ effect: 'allow' })) }))).toBe('allowed: rule')
  })
  it('are gone round in an emergency, for seeing, for one patient, for a time; a denial is not', () => {
    // SEC-05
    const breakGlass = [{ breakGlassId: 'b1', subjectId: 'u1', patientId: 'P1', until: NOW + 1 }]
    const open = (change: Partial<AccessRequest> = {}, policy: Partial<Policy> = {}) => codeOf(aRequest({ policy: { ...treating, breakGlass, ...policy }, ...change }))
    expect([open(), open({ exam: about({ label: 'classified' }) })]).toEqual(['allowed: break-glass', 'allowed: break-glass'])
    for (const doing of ['export', 'change', 'apply', 'delete'] as const) expect(open({ doing })).not.toMatch(/^allowed/)
    expect(open({ now: NOW + 1 })).toBe('access/no-relation')
    expect(open({ exam: about({ patientId: 'P2' }) })).toBe('access/no-relation')
    expect(open({ asker: aPerson('u2', 'doctor') })).toBe('access/no-relation')
    expect(open({}, { rules: new RuleBook([aRule()]) })).toBe('access/rule-denied')
    expect(open({ asker: doctor({ scope: { areas: ['西院超声'] } }) })).toBe('access/out-of-scope')
  })
  it('tell whoever could open the patient in an emergency that this is possible', () => {
    // SEC-05
    expect(decideAccess(aRequest({ policy: treating }))).toMatchObject({ facts: { breakGlass: true } })
    expect(decideAccess(aRequest({ policy: treating, asker: aPerson('u1', 'reviewer') }))).toMatchObject({ facts: { doing: 'view' } })
    expect(decideAccess(aRequest({ policy: withRules(aRule()) }))).not.toMatchObject({ facts: { breakGlass: true } })
  })
})

describe('others who ask', () => {
  it('a patient sees the own exams and nothing else', () => {
    // SEC-04
    const patient = (patientId: string, change: Partial<AccessRequest> = {}) => codeOf(aRequest({ asker: { kind: 'patient', patientId }, doing: 'read', ...change }))
    expect([patient('P1'), patient('P2'), patient('')]).toEqual(['allowed: patient', 'access/forbidden', 'access/forbidden'])
    expect(patient('P1', { doing: 'export' })).toBe('access/forbidden')
    expect(patient('P1', { policy: withRules(aRule({ subject: { kind: 'everybody' } })) })).toBe('access/rule-denied')
  })
  it('a DICOM node sees its scope, does what it is registered for, and needs no relation', () => {
    // SEC-03
    const node = (permissions: ('store' | 'query' | 'retrieve')[], scope: object = {}) => ({ kind: 'dicom-node', aeTitle: 'WS1', subject: deviceSubject('WS1', [{ permissions, scope, labels: [] }]) }) as const
    const policy = { ...noRules, relation: 'treating' } as const
    expect(codeOf(aRequest({ policy, asker: node(['retrieve']) }))).toBe('allowed: dicom-node')
    expect(codeOf(aRequest({ policy, asker: node(['store']) }))).toBe('access/forbidden')
    expect(codeOf(aRequest({ policy, asker: node(['retrieve'], { campuses: ['西院'] }) }))).toBe('access/out-of-scope')
    expect(codeOf(aRequest({ asker: node(['retrieve']), exam: about({ label: 'vip' }) }))).toBe('access/not-cleared')
  })
  it('nobody sees what the register does not know', () => {
    expect(codeOf(aRequest({ exam: { ...aRequest().exam, facts: undefined } }))).toBe('exam/unknown')
  })
})
