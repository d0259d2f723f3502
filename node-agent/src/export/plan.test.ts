import { describe, expect, it } from 'vitest'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { countLeftOut, decideInstance, factsOf, type Asked } from './plan.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const header = (changes: Record<string, string> = {}): JsonDataset => ({
  '00080060': { vr: 'CS', Value: ['CT'] },
  '7FE00010': { vr: 'OW', BulkDataURI: '/x' },
  ...Object.fromEntries(Object.entries(changes).map(([tag, value]) => [tag, { vr: 'CS', Value: [value] }])),
})
const decided = (changes: Record<string, string>, asked: Partial<Asked> = {}, sopClassUid = CT) =>
  decideInstance(factsOf(header(changes), { sopClassUid } as Parameters<typeof factsOf>[1]), { level: 'L3', format: 'dicom', includeShown: false, ...asked })

describe('images in which a name may be seen', () => {
  it.each([
    ['says so itself', { '00280301': 'YES' }, CT, 'burned-in'],
    ['ultrasound', { '00080060': 'US' }, CT, 'kind'],
    ['ultrasound that says NO', { '00080060': 'US', '00280301': 'NO' }, CT, 'kind'],
    ['secondary capture by its class', {}, '1.2.840.10008.5.1.4.1.1.7', 'kind'],
    ['a photograph by its class', {}, '1.2.840.10008.5.1.4.1.1.77.1.4', 'kind'],
    ['a screen saved as CT', { '00080008': 'DERIVED\\SCREEN SAVE' }, CT, 'kind'],
    ['a digitised film', { '00080064': 'DF' }, CT, 'kind'],
    ['an overlay in unused bits', { '60000010': '512' }, CT, 'overlay'],
    ['a face', { '00280302': 'YES' }, CT, 'features'],
    ['a CT slice', { '00280301': 'NO' }, CT, 'leaves'],
    ['an overlay of its own, which goes with the header', { '60000010': '512', '60003000': 'x' }, CT, 'leaves'],
  ])('%s', (_what, changes, sopClass, expected) => {
    // SEC-06
    expect(decided(changes, {}, sopClass)).toBe(expected)
    expect(decided(changes, { level: 'L1', format: 'jpeg' }, sopClass)).toBe(expected)
    expect(decided(changes, { includeShown: true }, sopClass)).toBe('leaves')
    expect(decided(changes, { level: 'L0' }, sopClass)).toBe('leaves')
  })
  it('lets no text out under a pseudonym, whatever is asked', () => {
    const report = factsOf({ '00080060': { vr: 'CS', Value: ['SR'] } }, { sopClassUid: '1.2.840.10008.5.1.4.1.1.88.11' } as Parameters<typeof factsOf>[1])
    const asked = (changes: Partial<Asked>) => decideInstance(report, { level: 'L3', format: 'dicom', includeShown: false, ...changes })
    expect([asked({}), asked({ includeShown: true }), asked({ level: 'L1' }), asked({ level: 'L1', includeShown: true }), asked({ level: 'L0' }), asked({ level: 'L0', format: 'png' })]).toEqual(
      ['document', 'document', 'document', 'leaves', 'leaves', 'not-renderable'],
    ) // prettier-ignore
  })
  it('are counted by reason', () => {
    expect(countLeftOut(['kind', 'burned-in', 'kind'])).toEqual([{ reason: 'kind', count: 2 }, { reason: 'burned-in', count: 1 }]) // prettier-ignore
  })
})
