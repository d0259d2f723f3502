import fc from 'fast-check'
import { AcquisitionSelection } from 'specs'
import { describe, expect, it } from 'vitest'
import { fixedDates, isSelected, studyQuestions } from './asking.ts'
import { lackOf, wantsOf, type Proof } from './completeness.ts'
import { nextRunOf } from './schedule.ts'

const selection = (given: object) => AcquisitionSelection.parse(given)
const monday = new Date(2026, 10, 23, 0, 30)

describe('what an older archive is asked', () => {
  // ARC-04
  it('is one question for each modality, about the days that are meant', () => {
    const questions = studyQuestions(selection({ modalities: ['CT', 'MR'] }), monday)
    expect(questions.map(({ ModalitiesInStudy, StudyDate }) => [ModalitiesInStudy, StudyDate])).toEqual([['CT', '20261122'], ['MR', '20261122']]) // prettier-ignore
    expect(studyQuestions(selection({ dates: { kind: 'last-days', days: 3 } }), monday)[0]).toMatchObject({ StudyDate: '20261121-20261123', ModalitiesInStudy: '' })
    expect(studyQuestions(selection({ dates: { kind: 'any' } }), monday)[0]).toMatchObject({ StudyDate: '' })
  })

  it('stays about the same days when the run waits into another one', () => {
    const { dates } = selection({ dates: { kind: 'yesterday' } })
    expect(fixedDates(fixedDates(dates, monday), new Date(2026, 10, 30))).toEqual({ kind: 'between', from: '2026-11-22', to: '2026-11-22' })
  })

  it('is compared again with what it answers', () => {
    const wanted = selection({ modalities: ['CT'], patientId: 'P1' })
    expect(isSelected({ ModalitiesInStudy: 'CT\\KO', PatientID: 'P1' }, wanted)).toBe(true)
    expect(isSelected({ ModalitiesInStudy: 'MR', PatientID: 'P1' }, wanted)).toBe(false)
    expect(isSelected({ ModalitiesInStudy: '', PatientID: 'P1' }, wanted)).toBe(true) // it does not tell
    expect(isSelected({ ModalitiesInStudy: 'CT', PatientID: 'P2' }, wanted)).toBe(false)
  })

  it('at the times of a schedule, and never at ones that nobody can read', () => {
    expect(nextRunOf({ kind: 'cron', expression: '0 1 * * *' }, monday.getTime())).toBe(new Date(2026, 10, 23, 1).getTime())
    expect(nextRunOf({ kind: 'manual' }, 1)).toBeNull()
    expect(() => nextRunOf({ kind: 'cron', expression: 'every morning' }, 1)).toThrow(expect.objectContaining({ code: 'acquisition/bad-schedule' }) as Error)
    expect(() => nextRunOf({ kind: 'cron', expression: '0 1 31 2 *' }, 1)).toThrow(expect.objectContaining({ code: 'acquisition/bad-schedule' }) as Error)
  })
})

describe('the proof that a study is whole', () => {
  // ARC-04
  const series = fc.dictionary(fc.constantFrom('s1', 's2', 's3'), fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), { minKeys: 1 })
  const proofOf = (listed: Record<string, number[]>): Proof & { kind: 'instances' } => ({
    kind: 'instances',
    series: new Map(Object.entries(listed).map(([uid, numbers]) => [uid, numbers.map((n) => ({ sopInstanceUid: `${uid}.${n}`, sopClassUid: '' }))])),
  })

  it('asks for exactly what is missing, and for nothing that is here', () => {
    fc.assert(
      fc.property(series, fc.infiniteStream(fc.boolean()), (listed, isHere) => {
        const proof = proofOf(listed)
        const all = [...proof.series].flatMap(([uid, instances]) => instances.map(({ sopInstanceUid }) => ({ uid, sopInstanceUid })))
        const held = new Set(all.filter(() => isHere.next().value).map(({ sopInstanceUid }) => sopInstanceUid))
        const { missing, isComplete } = lackOf(proof, held)
        const asked = wantsOf(proof, held).flatMap((want) =>
          want.level === 'STUDY' ? all.map(({ sopInstanceUid }) => sopInstanceUid) : want.level === 'IMAGE' ? want.sopInstanceUids : all.filter(({ uid }) => uid === want.seriesInstanceUid).map(({ sopInstanceUid }) => sopInstanceUid),
        )
        expect(isComplete).toBe(missing.length === 0)
        if (!isComplete) expect([...asked].sort()).toEqual([...missing].sort())
      }),
    )
  })

  it('is the number where that is all there is, and no proof where there is none', () => {
    expect(lackOf({ kind: 'count', instances: 3 }, new Set(['1', '2']))).toMatchObject({ isComplete: false, expected: 3, held: 2 })
    expect(lackOf({ kind: 'count', instances: 2 }, new Set(['1', '2', '3']))).toMatchObject({ isComplete: true, held: 2 })
    expect(lackOf({ kind: 'none' }, new Set(['1']))).toMatchObject({ isComplete: false })
  })
})
