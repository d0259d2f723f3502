import { nodeRoles, GrantId, HospitalId, StudyInstanceUid, TaskId, UserId, type Grant } from 'specs'
import type { AccessRequest } from './decide-access.ts'
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

/** Somebody with these of the roles that every node begins with. */
export const aPerson = (userId: string, ...roles: string[]): AccessRequest['asker'] => ({
  kind: 'user',
  userId,
  rights: nodeRoles.filter(({ id }) => roles.includes(id)).flatMap(({ rights }) => rights),
})

/** A doctor of A looking at A's chest CT. */
export const aRequest = (change: Partial<AccessRequest> = {}): AccessRequest => ({
  asker: aPerson('u1', 'doctor'),
  here: { hospitalId: A, kinds: ['submitter'] },
  doing: 'view',
  purpose: 'treatment',
  exam: { owner: A, study: CHEST, kept: 'in-hospital' },
  tasks: [],
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
