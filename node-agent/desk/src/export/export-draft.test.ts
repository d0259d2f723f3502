import { describe, expect, it } from 'vitest'
import { ExportRequest, StudyInstanceUid } from 'specs'
import { isComplete, levelsFor, newDraft, requestOf } from './export-draft.ts'

const study = StudyInstanceUid.parse('2.25.1')

describe('what a person asks for in the dialog', () => {
  it('is masked DICOM unless told, and wants purpose and reason', () => {
    const draft = newDraft()
    expect(isComplete(draft)).toBe(false)
    Object.assign(draft, { purpose: '教学', reason: ' 读片 ' })
    expect(isComplete(draft)).toBe(true)
    expect(ExportRequest.parse(requestOf(draft, study, false))).toMatchObject({ level: 'L1', format: 'dicom', reason: '读片', includeShown: false })
  })
  it('in full wants an authorisation, and is offered only to who may unmask', () => {
    const draft = { ...newDraft(), level: 'L0' as const, purpose: '转诊', reason: '转院' }
    expect([isComplete(draft), isComplete({ ...draft, authorisation: '院办 118' })]).toEqual([false, true])
    expect([levelsFor(false), levelsFor(true)]).toEqual([['L1', 'L3'], ['L1', 'L3', 'L0']]) // prettier-ignore
  })
  it('takes nothing along that was chosen for another level and is not seen any more', () => {
    const draft = { ...newDraft(), authorisation: 'x', project: '研究', dates: 'kept' as const, identification: true, includeShown: true, characteristics: false }
    expect(requestOf(draft, study, true)).toMatchObject({ authorisation: '', project: '', dates: 'shifted', characteristics: true, identification: false, includeShown: true })
    expect(requestOf(draft, study, false).includeShown).toBe(false)
    expect(requestOf({ ...draft, level: 'L3', format: 'png' }, study, true)).toMatchObject({ project: '研究', dates: 'kept', identification: true, characteristics: false })
  })
})
