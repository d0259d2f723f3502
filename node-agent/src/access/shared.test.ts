import { describe, expect, it } from 'vitest'
import { GrantId, UserId, type Authorisation } from 'specs'
import { A, aPerson, aRequest, aRule, aTask, B, C, CHEST, HEAD, noRules, NOW } from './builders.ts'
import { decideAccess, type AccessRequest } from './decide-access.ts'
import { RuleBook } from './policy/rule-book.ts'
import { decideSharing, type HeldGrant, type SharedExam } from './shared.ts'

const anAuthorisation = (change: Partial<Authorisation> = {}, scope: Partial<Authorisation['scope']> = {}): Authorisation => ({
  authorisationId: '11111111-2f4b-4a57-9d0c-0d8f5f0a1b12',
  kind: 'policy',
  grantees: [B],
  purposes: ['treatment'],
  scope: { patientId: '', studyInstanceUids: [], modalities: [], dateFrom: '', dateTo: '', ...scope },
  validFrom: NOW - 1_000,
  expires: NOW + 1_000,
  reason: '转诊协议',
  issuedAt: NOW - 1_000,
  issuedBy: { id: 'u3', name: '何静' },
  withdrawn: null,
  ...change,
})
const chest: SharedExam = { patientId: 'P1', study: CHEST, modality: 'CT', studyDate: '2026-03-02', label: 'ordinary' }
const isShared = (authorisation: Authorisation, exam: Partial<SharedExam> = {}) =>
  decideSharing({ authorisations: [authorisation], exam: { ...chest, ...exam }, hospital: B, purpose: 'treatment', now: NOW }) !== undefined

describe('an authorisation of the owner', () => {
  it('covers what all of it says: hospital, purpose, time, patient, study, kind and period', () => {
    // FED-37
    expect(isShared(anAuthorisation())).toBe(true)
    expect(isShared(anAuthorisation({ grantees: 'region' }))).toBe(true)
    expect(isShared(anAuthorisation({}, { patientId: 'P1', studyInstanceUids: [CHEST], modalities: ['MR', 'CT'], dateFrom: '2026-03-02', dateTo: '2026-03-02' }))).toBe(true)
    const beside = [
      anAuthorisation({ grantees: [C] }),
      anAuthorisation({ purposes: ['referral'] }),
      anAuthorisation({ expires: NOW }),
      anAuthorisation({ validFrom: NOW + 1 }),
      anAuthorisation({ withdrawn: { at: NOW - 1, by: '何静', reason: '终止' } }),
      anAuthorisation({}, { patientId: 'P2' }),
      anAuthorisation({}, { studyInstanceUids: [HEAD] }),
      anAuthorisation({}, { modalities: ['MR'] }),
      anAuthorisation({}, { dateFrom: '2026-03-03' }),
      anAuthorisation({}, { dateTo: '2026-03-01' }),
    ]
    expect(beside.map((one) => isShared(one))).toEqual(beside.map(() => false))
    expect(isShared(anAuthorisation({}, { dateFrom: '2026-01-01' }), { studyDate: '' })).toBe(false)
  })

  it('reaches exams with a label only by name', () => {
    // FED-37, SEC-05
    expect(isShared(anAuthorisation(), { label: 'vip' })).toBe(false)
    expect(isShared(anAuthorisation({}, { patientId: 'P1' }), { label: 'vip' })).toBe(true)
    expect(isShared(anAuthorisation({}, { patientId: 'P1' }), { label: 'classified' })).toBe(false)
    expect(isShared(anAuthorisation({}, { studyInstanceUids: [CHEST] }), { label: 'classified' })).toBe(true)
  })

  it('gives way to the patient’s own consent as the reason', () => {
    const consent = anAuthorisation({ kind: 'consent', expires: NOW + 10 }, { patientId: 'P1' })
    const found = decideSharing({ authorisations: [anAuthorisation(), consent], exam: chest, hospital: B, purpose: 'treatment', now: NOW })
    expect(found).toBe(consent)
  })
})

describe('the one decision about a person of another hospital', () => {
  const person = { userId: UserId.parse('u7'), name: '陈立', title: '', roles: [], rights: ['region.search'], authMethod: 'password' }
  const asked = (change: Partial<AccessRequest> = {}, more: object = {}) =>
    decideAccess(aRequest({ asker: { kind: 'hospital', hospitalId: B, person, authorisations: [anAuthorisation()], ...more }, doing: 'read', ...change }))

  it('lets see under an authorisation, says under which, and never change or export', () => {
    // FED-37
    expect(asked()).toMatchObject({ allowed: true, because: 'policy', authorisation: { reason: '转诊协议' } })
    for (const doing of ['export', 'change', 'delete', 'store', 'unmask'] as const) expect(asked({ doing })).toMatchObject({ allowed: false })
    expect(asked({}, { person: undefined })).toMatchObject({ code: 'access/assertion-needed' })
    expect(asked({}, { authorisations: [] })).toMatchObject({ code: 'access/no-authorisation' })
    expect(asked({ exam: { owner: A, study: HEAD, kept: 'in-hospital' } })).toMatchObject({ code: 'access/no-authorisation' })
  })

  it('keeps to a denial of the own rules whatever was authorised', () => {
    // SEC-05
    const rules = new RuleBook([aRule({ subject: { kind: 'everybody' } })])
    expect(asked({ policy: { ...noRules, rules } })).toMatchObject({ allowed: false, code: 'access/no-authorisation' })
  })
})

describe('what people hold of other hospitals', () => {
  const aHeld = (change: Partial<HeldGrant> = {}): HeldGrant => ({
    grantId: GrantId.parse('11111111-2f4b-4a57-9d0c-0d8f5f0a1b13'),
    owner: A,
    person: UserId.parse('u9'),
    studyInstanceUids: [CHEST],
    kind: 'consent',
    purpose: 'treatment',
    expires: NOW + 1_000,
    withdrawnAt: null,
    ...change,
  })
  const asked = (held: HeldGrant[], change: Partial<AccessRequest> = {}) =>
    decideAccess(aRequest({ asker: aPerson('u9', 'clinician'), here: { hospitalId: B, kinds: ['processor'] }, exam: { owner: A, study: CHEST, kept: 'regional' }, held, ...change }))

  it('is theirs alone, until it ends or is withdrawn, for looking only', () => {
    // FED-37
    expect(asked([aHeld()])).toMatchObject({ allowed: true, because: 'consent' })
    expect(asked([aHeld({ person: UserId.parse('u8') })])).toMatchObject({ code: 'access/forbidden' })
    expect(asked([aHeld({ expires: NOW })])).toMatchObject({ code: 'access/grant-expired' })
    expect(asked([aHeld({ withdrawnAt: NOW - 1 })])).toMatchObject({ code: 'access/grant-withdrawn' })
    expect(asked([aHeld({ withdrawnAt: NOW - 1 }), aHeld()])).toMatchObject({ allowed: true })
    expect(asked([aHeld()], { doing: 'export' })).toMatchObject({ allowed: false })
    expect(asked([aHeld()], { asker: aPerson('u9', 'registrar') })).toMatchObject({ code: 'access/forbidden' })
  })

  it('does not bring back what came with a task once the submitter has taken that back', () => {
    // FED-37
    const expert = { asker: aPerson('u9', 'expert'), here: { hospitalId: C, kinds: ['processor'] as const } }
    expect(asked([], { ...expert, tasks: [aTask()] })).toMatchObject({ allowed: true, because: 'task' })
    expect(asked([], { ...expert, tasks: [aTask({ grantWithdrawnAt: NOW - 1 })] })).toMatchObject({ code: 'access/grant-withdrawn' })
    expect(asked([], { ...expert, tasks: [aTask({ grantExpires: NOW })] })).toMatchObject({ code: 'access/grant-expired' })
  })
})
