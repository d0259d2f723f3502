import { nodeRoles, GrantId, HospitalId, StudyInstanceUid, TaskId, UserId, type Grant, type Scope } from 'specs'
import type { AccessRequest, Policy } from './decide-access.ts'
import type { ExamFacts } from './policy/exam-facts.ts'
import type { AccessRule } from './policy/rule.ts'
import { RuleBook } from './policy/rule-book.ts'
import { subjectOf, type Person } from './policy/subject.ts'
import type { TaskView } from './task-view.ts'

/** Builders for tests: each says only what matters to the sentence. */
export const A = HospitalId.parse('hospital-a')
export const B = HospitalId.parse('hospital-b')
export const C = HospitalId.parse('hospital-c')
export const CENTRE = HospitalId.parse('data-centre')
export const CHEST = StudyInstanceUid.parse('1.2.3.100')
export const HEAD = StudyInstanceUid.parse('1.2.3.200')
export const TASK = TaskId.parse('6f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b11')
export const NOW = 1_800_000_000_000

export const aTask = (change: Partial<TaskView> = {}): TaskView => ({
  taskId: TASK,
  submitter: A,
  state: 'submitted',
  holder: null,
  offeredTo: [C],
  studyInstanceUids: [CHEST],
  ...change,
})

export const heldAt = (hospitalId: HospitalId): TaskView['holder'] => ({
  hospitalId,
  userId: UserId.parse('u1'),
  name: '周敏',
  since: NOW - 1_000,
})

export const aGrant = (change: Partial<Grant> = {}): Grant => ({
  grantId: GrantId.parse('11111111-2f4b-4a57-9d0c-0d8f5f0a1b11'),
  owner: A,
  grantees: [C, CENTRE],
  studyInstanceUids: [CHEST],
  purpose: 'consultation',
  taskId: TASK,
  notBefore: NOW - 1_000,
  expires: NOW + 1_000,
  ...change,
})

/** No rules, no emergency, staff of the hospital see what their role allows: as a hospital begins. */
export const noRules: Policy = { relation: 'hospital', rules: new RuleBook([]), breakGlass: [] }

export const someFacts = (change: Partial<ExamFacts> = {}): ExamFacts => ({
  examId: 'e1',
  owner: A,
  patientId: 'P1',
  campus: '总院',
  department: '放射科',
  area: '总院放射',
  modality: 'CT',
  label: 'ordinary',
  requestingDepartment: '呼吸科',
  requestingPhysician: '',
  ...change,
})

export const aRule = (change: Partial<AccessRule> = {}): AccessRule => ({
  ruleId: 'r1',
  effect: 'deny',
  subject: { kind: 'user', id: 'u1' },
  object: { kind: 'patient', id: 'P1' },
  doings: null,
  validFrom: 0,
  validUntil: null,
  hours: null,
  reason: '本人要求',
  ...change,
})

/** Somebody with these of the roles that every node begins with, everywhere in the hospital unless told. */
export const somebody = (id: string, roles: readonly string[], { scope = {}, ...more }: { scope?: Scope; department?: string; group?: string } = {}): Person => ({
  id,
  entitlements: nodeRoles.filter((role) => roles.includes(role.id)).map(({ id: role, rights }) => ({ role, rights: [...rights], scope, ...(more.group !== undefined && { group: more.group }) })),
  ...(more.department !== undefined && { department: more.department }),
})
export const aPerson = (id: string, ...roles: string[]): AccessRequest['asker'] => ({ kind: 'user', subject: subjectOf(somebody(id, roles)) })

/** A doctor of A looking at A's chest CT. */
export const aRequest = (change: Partial<AccessRequest> = {}): AccessRequest => ({
  asker: aPerson('u1', 'doctor'),
  here: { hospitalId: A, kinds: ['submitter'] },
  doing: 'view',
  purpose: 'treatment',
  exam: { owner: A, study: CHEST, facts: someFacts(), kept: 'in-hospital' },
  tasks: [],
  policy: noRules,
  now: NOW,
  ...change,
})

/** An expert of C looking at A's chest CT in C's regional cache. */
export const anExpertRequest = (change: Partial<AccessRequest> = {}): AccessRequest =>
  aRequest({
    asker: aPerson('u9', 'expert'),
    here: { hospitalId: C, kinds: ['processor'] },
    purpose: 'consultation',
    exam: { owner: A, study: CHEST, kept: 'regional' },
    tasks: [aTask()],
    ...change,
  })

/** C's agent asking A for the chest CT. */
export const anAgentRequest = (grant: Grant | undefined, change: Partial<AccessRequest> = {}): AccessRequest =>
  aRequest({
    asker: { kind: 'hospital', hospitalId: C, ...(grant && { grant: { grant, genuine: true } }) },
    purpose: 'consultation',
    tasks: [aTask()],
    standing: { issued: true, withdrawnAt: null },
    ...change,
  })
