import { describe, expect, it } from 'vitest'
import type { TierRule } from 'specs'
import { decideLeaving, decideQuota, decideReplicas, decideTier, isWithin, type PlacedStudy } from './policy.ts'

const DAY = 86_400_000
const now = Date.UTC(2026, 10, 22, 4) // noon in Beijing
const study = (changes: Partial<PlacedStudy> = {}): PlacedStudy => ({ studyInstanceUid: '2.25.1', owner: 'hospital-a', studyDate: '20260101', receivedAt: now - 10 * DAY, openedAt: 0, modalities: ['CT', 'SR'], campus: 'east', ...changes })
const rule = (changes: Partial<TierRule> = {}): TierRule => ({ ruleId: 'old', name: '旧片', to: 'nas', after: 'study-date', days: 300, modalities: [], owners: [], campuses: [], ...changes })

describe('where a study belongs', () => {
  it('follows its age since examination, arrival or the last opening', () => { // ARC-20
    expect(decideTier(study(), [rule()], now)).toBe('nas')
    expect(decideTier(study({ studyDate: '20260801' }), [rule()], now)).toBeUndefined()
    expect(decideTier(study(), [rule({ after: 'received', days: 11 })], now)).toBeUndefined()
    expect(decideTier(study(), [rule({ after: 'received', days: 10 })], now)).toBe('nas')
    expect(decideTier(study({ openedAt: now - 2 * DAY }), [rule({ after: 'opened', days: 3 })], now)).toBeUndefined()
  })
  it('counts a study without a date, or from the future, from its arrival', () => {
    for (const studyDate of ['', '20300101', 'today']) expect(decideTier(study({ studyDate }), [rule({ days: 10 })], now)).toBe('nas')
    for (const studyDate of ['', '20300101', 'today']) expect(decideTier(study({ studyDate }), [rule({ days: 11 })], now)).toBeUndefined()
  })
  it('is what the first rule for its modality, hospital and campus says', () => {
    const rules = [rule({ modalities: ['US'], to: 'a' }), rule({ owners: ['hospital-b' as never], to: 'b' }), rule({ campuses: ['east'], modalities: ['CT'], to: 'c' }), rule({ to: 'd' })]
    expect(decideTier(study(), rules, now)).toBe('c')
    expect(decideTier(study({ campus: 'west' }), rules, now)).toBe('d')
  })
  it('has second copies by hospital', () => { // ARC-24
    const rules = [{ ruleId: '1', name: 'x', to: 'cloud', owners: ['hospital-a' as never] }, { ruleId: '2', name: 'y', to: 'nas', owners: [] }, { ruleId: '3', name: 'z', to: 'nas', owners: [] }]
    expect(decideReplicas({ owner: 'hospital-a' }, rules)).toEqual(['cloud', 'nas'])
    expect(decideReplicas({ owner: 'hospital-b' }, rules)).toEqual(['nas'])
  })
  it('leaves the local disk when it was not opened for long enough', () => {
    expect(decideLeaving(study(), 7, now)).toBe(true)
    expect(decideLeaving(study({ openedAt: now - DAY }), 7, now)).toBe(false)
    expect(decideLeaving(study({ receivedAt: now }), 0, now)).toBe(true)
  })
})

describe('hours and quotas', () => {
  it('reach over midnight', () => { // ARC-22
    expect([isWithin({ fromHour: 20, toHour: 6 }, now), isWithin({ fromHour: 12, toHour: 13 }, now), isWithin({ fromHour: 13, toHour: 13 }, now), isWithin({ fromHour: 20, toHour: 6 }, now + 12 * 3_600_000)]).toEqual([false, true, true, true])
  })
  it('warn before they are full', () => expect([84, 85, 99, 100].map((used) => decideQuota(used, 100, 85))).toEqual(['ok', 'warning', 'warning', 'full']))
})
