import { describe, expect, it } from 'vitest'
import { parsePathTemplate } from './path-template.ts'

const values = { studyDate: '20260301', modality: 'C/T..', studyInstanceUid: '2.25.1', seriesInstanceUid: '2.25.11', sopInstanceUid: '2.25.301' }
const at = (template: string) => parsePathTemplate(template)(values, 'hospital-a', { kind: 'dimse', peer: 'CT01', receivingNode: 'YUNXI_CT' })

describe('where a file lies', () => {
  it('follows the rule as we write it, and as tenders do', () => { // ARC-07, AGT-14
    expect(at('{hospital}/{year}/{month}/{day}/{study}/{series}/{instance}.dcm')).toBe('hospital-a/2026/03/01/2.25.1/2.25.11/2.25.301.dcm')
    expect(at('{hospital}/{yyyy}/{MM}/{dd}/{studyUID}')).toBe('hospital-a/2026/03/01/2.25.1/2.25.11/2.25.301.dcm')
    expect(at('{hospital}/{studyUID}/{seriesUID}/')).toBe('hospital-a/2.25.1/2.25.11/2.25.301.dcm')
    expect(at('{node}/{sender}/{modality}/{instance}')).toBe('YUNXI_CT/CT01/CT/2.25.301')
    expect(at('{receivedYear}-{receivedMonth}-{receivedDay}/{instance}')).toMatch(/^20\d\d-\d\d-\d\d\/2\.25\.301$/)
  })
  it('can leave the root by no rule, and give two images one place by none', () => {
    for (const bad of ['../{instance}', '/{instance}', 'a//{instance}', 'replaced/{instance}', 'recycled/{instance}', 'a\\..\\{instance}', '{hospital}/{year}', '{patientName}/{instance}', '{instance}.sm4'])
      expect(() => parsePathTemplate(bad), bad).toThrow()
  })
})
