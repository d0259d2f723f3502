import { describe, expect, it } from 'vitest'
import { HospitalId, StoragePolicy } from 'specs'
import { draftOf, newReplicaRule, newTierRule, policyOf } from './policy-draft.ts'

const policy = StoragePolicy.parse({
  pathTemplate: '{hospital}/{study}/{instance}', ownerTemplates: { 'hospital-b': 'b/{instance}' }, keepLocalDays: 7, quotaBytes: 2_500_000_000, ownerQuotas: { 'hospital-b': 1_000_000_000 }, warnPercent: 85, recycleDays: 30,
  tierRules: [{ ruleId: 'r', name: '旧片', to: 'nas', after: 'opened', days: 30, modalities: ['CT'], owners: ['hospital-a'], campuses: ['东院'] }],
  replicaRules: [{ ruleId: 'c', name: '副本', to: 'cloud', owners: [] }],
  integrity: { everyDays: 30, bytesPerSecond: 20_000_000, fromHour: 20, toHour: 6, copiesReadPercent: 5, repair: true }, cacheBytes: null, cacheLeaves: 'least-recently-opened',
}) // prettier-ignore

describe('rules of storage in a form', () => {
  it('are sent back as they came when nobody changes them', () => { // AGT-14
    expect(policyOf(draftOf(policy), policy)).toEqual(policy)
    expect(policyOf(draftOf({ ...policy, cacheBytes: 5_000_000_000 }), { ...policy, cacheBytes: 5_000_000_000 }).cacheBytes).toBe(5_000_000_000)
  })
  it('take sizes in GB, no quota for 0, and leave out rows without a hospital', () => {
    const draft = { ...draftOf(policy), quotaGb: 0, ownerQuotas: [{ owner: ' hospital-c ', value: 1.5 }, { owner: '', value: 9 }] }
    expect(policyOf(draft, policy)).toMatchObject({ quotaBytes: null, ownerQuotas: { [HospitalId.parse('hospital-c')]: 1_500_000_000 } })
  })
  it('begin as rules that the node accepts', () => {
    const draft = { ...draftOf(policy), tierRules: [{ ...newTierRule('nas'), name: '两年前' }], replicaRules: [{ ...newReplicaRule('nas'), name: '副本' }] }
    expect(StoragePolicy.safeParse(policyOf(draft, policy)).success).toBe(true)
  })
})
