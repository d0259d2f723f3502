import { describe, expect, it } from 'vitest'
import { decideLevel } from './c-find.ts'
import { PATIENT_ROOT_FIND, STUDY_ROOT_FIND } from './sop-classes.ts'

const mismatch = expect.objectContaining({ refused: expect.objectContaining({ status: 0xa900 }) })

describe('the level of a query', () => {
  // FED-21
  it.each(['STUDY', 'SERIES', 'IMAGE'])('is %s in Study Root when the keys above it name one object', (level) => {
    expect(decideLevel({ QueryRetrieveLevel: level, StudyInstanceUID: '1.2', SeriesInstanceUID: '1.2.3' }, STUDY_ROOT_FIND)).toEqual({
      level,
    })
  })

  it('may be PATIENT in Patient Root alone', () => {
    expect(decideLevel({ QueryRetrieveLevel: 'PATIENT' }, PATIENT_ROOT_FIND)).toEqual({ level: 'PATIENT' })
    expect(decideLevel({ QueryRetrieveLevel: 'PATIENT' }, STUDY_ROOT_FIND)).toEqual(mismatch)
  })

  it('lets Patient Root ask for studies without a patient ID, as stations do', () => {
    expect(decideLevel({ QueryRetrieveLevel: 'STUDY', PatientName: 'A*' }, PATIENT_ROOT_FIND)).toEqual({ level: 'STUDY' })
  })

  it.each([
    ['no level', {}],
    ['a level that does not exist', { QueryRetrieveLevel: 'WORKLIST' }],
    ['series without their study', { QueryRetrieveLevel: 'SERIES' }],
    ['images without their series', { QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: '1.2' }],
    ['series of several studies', { QueryRetrieveLevel: 'SERIES', StudyInstanceUID: '1.2\\1.3' }],
    ['series of any study', { QueryRetrieveLevel: 'SERIES', StudyInstanceUID: '*' }],
  ])('is refused for %s', (_, keys) => {
    expect(decideLevel(keys, STUDY_ROOT_FIND)).toEqual(mismatch)
  })
})
