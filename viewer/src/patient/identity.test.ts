import { describe, expect, it } from 'vitest'
import { ageText, dateText, identityOf } from './identity.ts'

const dataset = {
  '00100010': { Value: [{ Alphabetic: 'DOE^JANE' }] },
  '00100020': { Value: ['LIDC-0314'] },
  '00100040': { Value: ['F'] },
  '00101010': { Value: ['063Y'] },
  '00080020': { Value: ['20000101'] },
}

describe('whose images these are', () => {
  it('believes the exam register before the images, field by field', () => {
    const exam = {
      patientName: '张秀英',
      patientId: '',
      patientSex: '女',
      patientBirthDate: '1937-02-03',
      accessionNumber: 'A1',
      studyDate: '',
      modality: 'CT',
      description: '胸部',
    } as Parameters<typeof identityOf>[0]['exam']
    expect(identityOf({ exam, dataset })).toMatchObject({
      name: '张秀英',
      patientId: 'LIDC-0314',
      sex: 'F',
      age: '63Y',
      studyDate: '2000-01-01',
      description: '胸部',
    })
  })

  it('counts the age at the exam when only the birth date is known', () => {
    expect(identityOf({ dataset: { '00100030': { Value: ['19600615'] }, '00080020': { Value: ['20200614'] } } }).age).toBe('59Y')
  })

  it('leaves unknown fields empty', () => {
    expect(identityOf({})).toMatchObject({ name: '', sex: '', age: '' })
    expect([dateText(''), dateText('1994.01.30'), ageText('3W')]).toEqual(['', '1994-01-30', '3W'])
  })
})
