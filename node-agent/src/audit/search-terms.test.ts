import { HospitalId } from 'specs'
import { describe, expect, it } from 'vitest'
import { keptTerms } from './search-terms.ts'

const here = HospitalId.parse('hospital-a')
const trail = { patientKey: (owner: string, text: string) => `k(${owner}/${text.replace('\0', ':')})` }
const kept = (search: Record<string, string | undefined>) => keptTerms(trail, here, search)

describe('search terms in the audit trail', () => {
  it('show what kind of search it was, and no name or number', () => {
    // SEC-05, SEC-12
    expect(kept({ PatientName: '张三丰*', StudyDate: '20260101-', ModalitiesInStudy: 'CT', AccessionNumber: '', ReferringPhysicianName: undefined })).toEqual({
      terms: [
        { by: 'PatientName', shown: '张***', mark: 'k(hospital-a/search:张三丰)' },
        { by: 'StudyDate', shown: '20260101-' },
        { by: 'ModalitiesInStudy', shown: 'CT' },
      ],
    })
    expect(JSON.stringify(kept({ PatientBirthDate: '19700131', OtherPatientIDs: '998877', StudyDescription: '王五复查' }).terms.map(({ shown }) => shown))).toBe(JSON.stringify(['1*******', '9*****', '王***']))
  })

  it('are recognised when the same is searched again, however it is written', () => {
    const mark = (text: string) => kept({ PatientName: text }).terms[0]?.mark
    expect(mark('ZHANG^SAN*')).toBe(mark('zhang san'))
    expect(mark('zhang san')).not.toBe(mark('zhang si'))
  })

  it('are found under the patient whose number was asked for', () => {
    // SEC-12
    expect(kept({ PatientID: 'P1001' }).patientKey).toBe(trail.patientKey(here, 'P1001'))
    expect(kept({ text: '1001' }).patientKey).toBe(trail.patientKey(here, '1001'))
    expect(kept({ PatientID: 'P10*' })).not.toHaveProperty('patientKey')
    expect(kept({ text: '张三' })).not.toHaveProperty('patientKey')
  })
})
