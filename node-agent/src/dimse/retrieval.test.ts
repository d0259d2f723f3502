import { describe, expect, it } from 'vitest'
import { decideRetrieval } from './retrieval.ts'
import { PATIENT_ROOT_GET, PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE } from './sop-classes.ts'

const mismatch = expect.objectContaining({ refused: expect.objectContaining({ status: 0xa900 }) })

describe('what a retrieval names', () => {
  // ARC-15, PS3.4 C.4.2.1.4
  it.each([
    ['one patient', { QueryRetrieveLevel: 'PATIENT', PatientID: 'P1' }, PATIENT_ROOT_MOVE],
    ['several studies', { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '1.2\\1.3' }, STUDY_ROOT_MOVE],
    ['studies of a patient', { QueryRetrieveLevel: 'STUDY', PatientID: 'P1', StudyInstanceUID: '1.2' }, PATIENT_ROOT_GET],
    ['series of a study', { QueryRetrieveLevel: 'SERIES', StudyInstanceUID: '1.2', SeriesInstanceUID: '1.2.1\\1.2.2' }, STUDY_ROOT_MOVE],
    ['images of a series', { QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: '1.2', SeriesInstanceUID: '1.2.1', SOPInstanceUID: '1\\2' }, STUDY_ROOT_MOVE],
  ])('may be %s', (_, { QueryRetrieveLevel: level, ...keys }, root) => {
    expect(decideRetrieval({ QueryRetrieveLevel: level, ...keys }, root)).toEqual({ level, keys })
  })

  it.each([
    ['no level', { StudyInstanceUID: '1.2' }, STUDY_ROOT_MOVE],
    ['a patient in Study Root', { QueryRetrieveLevel: 'PATIENT', PatientID: 'P1' }, STUDY_ROOT_MOVE],
    ['no key of its level', { QueryRetrieveLevel: 'STUDY' }, STUDY_ROOT_MOVE],
    ['everything', { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '*' }, STUDY_ROOT_MOVE],
    ['all patients', { QueryRetrieveLevel: 'PATIENT', PatientID: 'P*' }, PATIENT_ROOT_MOVE],
    ['two patients', { QueryRetrieveLevel: 'PATIENT', PatientID: 'P1\\P2' }, PATIENT_ROOT_MOVE],
    ['series of two studies', { QueryRetrieveLevel: 'SERIES', StudyInstanceUID: '1.2\\1.3', SeriesInstanceUID: '1' }, STUDY_ROOT_MOVE],
    ['images of no series', { QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: '1.2', SOPInstanceUID: '1' }, STUDY_ROOT_MOVE],
  ])('may not be %s', (_, keys, root) => {
    expect(decideRetrieval(keys, root)).toEqual(mismatch)
  })

  it('may be an image alone where relational retrieval was agreed', () => {
    const keys = { QueryRetrieveLevel: 'IMAGE', SOPInstanceUID: '1.2.3' }
    expect(decideRetrieval(keys, STUDY_ROOT_MOVE, { relational: true })).toEqual({ level: 'IMAGE', keys: { SOPInstanceUID: '1.2.3' } })
  })

  it('is not narrowed by keys that do not name, nor by keys below', () => {
    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '1.2', PatientName: 'A*', SeriesInstanceUID: '1.2.1' }
    expect(decideRetrieval(keys, STUDY_ROOT_MOVE)).toEqual({ level: 'STUDY', keys: { StudyInstanceUID: '1.2' } })
  })
})
