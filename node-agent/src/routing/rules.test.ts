import fc from 'fast-check'
import { PriorSelection, RoutingCondition } from 'specs'
import { describe, expect, it } from 'vitest'
import { whyNotMatched, withoutSenders, type RoutingSubject } from './match-rule.ts'
import { choosePriors, type PriorCandidate } from './priors.ts'

const aSubject = (changes: Partial<RoutingSubject> = {}): RoutingSubject => ({
  event: 'study-received', examId: 'e1', studyInstanceUid: '1.2.3', patientId: 'P1', sources: ['AE1'], hasNew: true, modalities: ['CT'],
  bodyPartTexts: ['CHEST', '胸部CT平扫'], campus: '总院', department: '放射科', accessionNumber: 'CT2026001', date: '20261120', ...changes,
}) // prettier-ignore
const when = (given: Partial<RoutingCondition>) => RoutingCondition.parse(given)

describe('a routing rule', () => {
  // ARC-17
  it('of CT from AE1 takes CT from AE1 and nothing else', () => {
    const rule = when({ callingAeTitles: ['AE1'], modalities: ['CT'] })
    expect(whyNotMatched(rule, aSubject())).toBeUndefined()
    expect(whyNotMatched(rule, aSubject({ sources: ['AE2'] }))).toBe('callingAeTitles')
    expect(whyNotMatched(rule, aSubject({ modalities: ['MR', 'KO'] }))).toBe('modalities')
    expect(whyNotMatched(rule, aSubject({ sources: [] }))).toBe('callingAeTitles')
  })

  it('knows a body part by its Chinese and its DICOM name', () => {
    expect(whyNotMatched(when({ bodyParts: ['胸部'] }), aSubject({ bodyPartTexts: ['CHEST'] }))).toBeUndefined()
    expect(whyNotMatched(when({ bodyParts: ['HEAD'] }), aSubject({ bodyPartTexts: ['颅脑平扫'] }))).toBeUndefined()
    expect(whyNotMatched(when({ bodyParts: ['胸部'] }), aSubject({ bodyPartTexts: ['胸椎'] }))).toBe('bodyParts')
    expect(whyNotMatched(when({ bodyParts: ['KNEE'] }), aSubject())).toBe('bodyParts')
  })

  it('reads accession numbers with wildcards, and other signs as they are', () => {
    expect(whyNotMatched(when({ accessionPattern: 'ct2026*' }), aSubject())).toBeUndefined()
    expect(whyNotMatched(when({ accessionPattern: 'CT2026???' }), aSubject())).toBeUndefined()
    expect(whyNotMatched(when({ accessionPattern: 'CT.026001' }), aSubject())).toBe('accessionPattern')
  })

  it('without conditions takes everything', () => {
    fc.assert(fc.property(fc.array(fc.string()), fc.array(fc.string()), (sources, modalities) => whyNotMatched(when({}), aSubject({ sources, modalities })) === undefined))
  })

  it('never sends back to who sent it', () => {
    const nodes = fc.array(fc.record({ aeTitle: fc.constantFrom('A', 'B', 'C', 'D') }))
    fc.assert(
      fc.property(nodes, fc.subarray(['A', 'B', 'C', 'D']), (given, sources) => {
        const { to, back } = withoutSenders(given, sources)
        expect(to.some(({ aeTitle }) => sources.includes(aeTitle))).toBe(false)
        expect(to.length + back.length).toBe(given.length)
      }),
    )
  })
})

describe('earlier studies to fetch beforehand', () => {
  // ARC-17
  const exam = { studyInstanceUid: '9', date: '20261120', modalities: ['CT'], bodyPartTexts: ['CHEST'] }
  const prior = (studyInstanceUid: string, date: string, changes: Partial<PriorCandidate> = {}): PriorCandidate => ({ studyInstanceUid, date, modalities: ['CT'], bodyPartTexts: ['胸部'], ...changes })
  const chosen = (candidates: PriorCandidate[], select: Partial<PriorSelection> = {}) => choosePriors(exam, candidates, PriorSelection.parse(select), '20261122').map(({ studyInstanceUid }) => studyInstanceUid)

  it('are the newest of the same body part and modality, not the exam itself', () => {
    const candidates = [prior('1', '20240101'), prior('2', '20260101'), prior('3', '20250101'), prior('9', '20261120'), prior('4', '20260601', { bodyPartTexts: ['KNEE'] }), prior('5', '20260701', { modalities: ['MR'] })]
    expect(chosen(candidates, { maxStudies: 2 })).toEqual(['2', '3'])
  })

  it('of other modalities where the map says so', () => {
    expect(chosen([prior('1', '20260101', { modalities: ['DX', 'KO'] })])).toEqual([])
    expect(chosen([prior('1', '20260101', { modalities: ['DX', 'KO'] })], { modalityMap: { CT: ['CT', 'DX'] } })).toEqual(['1'])
  })

  it('not older than told, and not later than the exam', () => {
    expect(chosen([prior('1', '20211119'), prior('2', '20211120'), prior('3', '20261121')])).toEqual(['2'])
  })

  it('that do not say what they show count only where that is wanted', () => {
    const silent = [prior('1', '20260101', { bodyPartTexts: [''] })]
    expect(chosen(silent)).toEqual(['1'])
    expect(chosen(silent, { unknownBodyPart: false })).toEqual([])
  })

  it('are never more than asked for, never the exam itself, and newest first', () => {
    const date = fc.integer({ min: 0, max: 4_000 }).map((day) => new Date(Date.UTC(2016, 0, 1 + day)).toISOString().slice(0, 10).replaceAll('-', ''))
    const candidate = fc.record({ studyInstanceUid: fc.constantFrom('1', '2', '3', '9'), date, modalities: fc.subarray(['CT', 'MR', 'SR']), bodyPartTexts: fc.subarray(['CHEST', '膝关节', '']) })
    fc.assert(
      fc.property(fc.array(candidate), fc.integer({ min: 1, max: 5 }), (candidates, maxStudies) => {
        const found = choosePriors(exam, candidates, PriorSelection.parse({ maxStudies }), '20261122')
        expect(found.length).toBeLessThanOrEqual(maxStudies)
        expect(found.some(({ studyInstanceUid }) => studyInstanceUid === '9')).toBe(false)
        expect(found.map((one) => one.date)).toEqual(found.map((one) => one.date).sort().reverse())
      }),
    )
  })
})
