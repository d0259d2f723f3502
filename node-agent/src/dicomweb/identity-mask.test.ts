import { describe, expect, it } from 'vitest'
import { maskDataset, seesIdentities } from './identity-mask.ts'

describe('what DICOMweb tells people of a patient', () => {
  it('keeps the family name and the number, and drops what reaches the person, also inside sequences', () => {
    // SEC-06
    const patient = {
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Zhang^XiuLan', Ideographic: '张^秀兰', Phonetic: 'zhang' }] },
      '00100020': { vr: 'LO', Value: ['YX0031846'] },
      '00100030': { vr: 'DA', Value: ['19610412'] },
      '00101040': { vr: 'LO', Value: ['云溪县城东路2号'] },
      '001021B0': { vr: 'LT', Value: ['电话13812348888'] },
      '00101010': { vr: 'AS', Value: ['065Y'] },
    }
    const masked = {
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Zhang^X***', Ideographic: '张*兰' }] },
      '00100020': { vr: 'LO', Value: ['YX0031846'] },
      '00100030': { vr: 'DA' },
      '00101040': { vr: 'LO' },
      '001021B0': { vr: 'LT', Value: ['电话138****8888'] },
      '00101010': { vr: 'AS', Value: ['065Y'] },
    }
    expect(maskDataset(patient)).toEqual(masked)
    expect(maskDataset({ '04000561': { vr: 'SQ', Value: [patient] } })).toEqual({ '04000561': { vr: 'SQ', Value: [masked] } })
    const bytes = { '04000552': { vr: 'OB', InlineBinary: '1cXI/Q==' } }
    expect(maskDataset({ '04000561': { vr: 'SQ', Value: [{ '04000551': { vr: 'SQ', Value: [bytes] } }] } })).toEqual({ '04000561': { vr: 'SQ', Value: [{ '04000551': { vr: 'SQ' } }] } })
  })
  it('masks names that are written in one piece or in Chinese alone', () => {
    const name = (Alphabetic: string) => maskDataset({ '00100010': { vr: 'PN', Value: [{ Alphabetic }] } })['00100010']?.Value?.[0]
    expect([name('LIDC-IDRI-0314'), name('张^三'), name('张三丰')]).toEqual([{ Alphabetic: 'L***' }, { Alphabetic: '张*' }, { Alphabetic: '张*丰' }])
  })
  it('is told in full to interfaces with the right, to no person', () => {
    const entitlements = [{ role: 'r', rights: ['patient.unmask' as const], scope: {} }]
    expect(seesIdentities({ entitlements, authMethod: 'service' })).toBe(true)
    expect(seesIdentities({ entitlements, authMethod: 'password' })).toBe(false)
    expect(seesIdentities({ entitlements: [], authMethod: 'service' })).toBe(false)
  })
})
