import { describe, expect, it } from 'vitest'
import { noPlacement, type AuditRow, type ExamOrigin } from 'specs'
import { aStudyRow } from '../exam/builders.ts'
import { factsOfStudy, type Exam } from '../exam/exam.ts'
import { statesOf, type ExamTraces } from './exam-states.ts'

const anExam = (change: Partial<Exam> = {}): Exam => ({ ...noPlacement, ...factsOfStudy(aStudyRow()), examId: 'e1', regionId: aStudyRow().regionId, studyInstanceUid: aStudyRow().studyInstanceUid, seriesCount: 1, instanceCount: 2, sizeBytes: 100,
  clinicalHistory: '', reportFindings: '', reportImpression: '', receivedAt: 1_000, updatedAt: 1, ...change }) // prettier-ignore
const traces = (change: Partial<ExamTraces> = {}): ExamTraces => ({
  exam: anExam({ studyDate: '', studyTime: '' }), origin: 'registered' as ExamOrigin, scheduled: [], performed: [], corrections: [], events: [], here: '县医院',
  arrived: { at: 5_000, source: 'CT01', instances: 2 }, ...change,
}) // prettier-ignore
const event = (action: AuditRow['action'], at: number, more: Partial<AuditRow> = {}): AuditRow => ({ action, at, actor: { kind: 'user', id: 'u1', name: '王医生' }, outcome: 'success', ...more }) as AuditRow
const named = (given: Partial<ExamTraces>) => statesOf(traces(given)).map(({ state, at, actor, system }) => `${state} ${at} ${actor} ${system}`)

describe('the key states of an exam', () => {
  it('stand in the order of time with who and in which system', () => {
    // ARC-27
    const shown = named({
      exam: anExam({ studyDate: '', requestingDepartment: '呼吸科', requestingPhysician: '赵医生' }),
      scheduled: [{ at: 2_000, station: 'CT01', due: '2026-03-01 08:00' }],
      events: [
        event('exam.register', 1_500, { actor: { kind: 'user', id: 'he', name: '何静' } }),
        event('study.archive', 6_000, { actor: { kind: 'dicom-node', id: 'CT01' } }),
        event('exam.change', 7_000, { after: { reportFindings: '结节' } }),
        event('exam.change', 7_500, { after: { campus: '东院' } }),
        event('consult.sign', 8_000),
        event('image.view', 9_000, { count: 3 }),
        event('transfer.send', 9_500, { facts: { destination: 'hospital-c' } }),
      ],
    })
    expect(shown).toEqual([
      'requested 1000 赵医生 呼吸科',
      'registered 1500 何静 县医院',
      'scheduled 2000  CT01',
      'arrived 5000 CT01 县医院',
      'matched 5000  县医院',
      'archived 6000 CT01 县医院',
      'reported 7000 王医生 县医院',
      'signed 8000 王医生 县医院',
      'viewed 9000 王医生 县医院',
      'sent 9500 王医生 hospital-c',
    ])
    expect(statesOf(traces({ events: [event('image.view', 9_000, { count: 3 })] })).at(-1)).toMatchObject({ state: 'viewed', count: 3 })
  })

  it('tell the acquisition as the device told it, or from the image headers where it did not', () => {
    const step = { state: 'COMPLETED', callingAeTitle: 'CT01', stationAeTitle: 'CT01', startedAt: '20260301 081000', endedAt: '20260301 082000', instanceCount: 120 } as ExamTraces['performed'][number]
    const at = new Date(2026, 2, 1, 8, 20).getTime()
    expect(statesOf(traces({ performed: [step] })).find(({ state }) => state === 'acquired')).toMatchObject({ at, system: 'CT01', count: 120, detail: 'COMPLETED' })
    const fromImages = statesOf(traces({ exam: anExam({ studyDate: '2026-03-01', studyTime: '08:15:00' }) })).find(({ state }) => state === 'acquired')
    expect(fromImages).toMatchObject({ at: new Date(2026, 2, 1, 8, 15).getTime(), detail: 'image-header' })
  })

  it('guess nothing: images alone are neither requested nor registered nor matched', () => {
    expect(statesOf(traces({ origin: 'images' })).map(({ state }) => state)).toEqual(['arrived'])
    expect(named({ arrived: undefined, exam: anExam({ studyInstanceUid: null }) })).toEqual(['registered 1000  县医院'])
  })
})
