import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { NormalisationRule, type KeptNormalisationRule } from 'specs'
import { characterSet, cleanText } from '../../dicom/character-set.ts'
import { keywordOf, tagOf, vrOf } from '../../dicom/dictionary.ts'
import { isAscii, isText, type Header } from '../../dicom/header-reading.ts'
import { conformAge, conformDate, conformName, conformSex, conformTime } from './conform.ts'
import { normalise, rulesFor } from './normalise.ts'

const aRule = (rule: Partial<typeof NormalisationRule._input>): KeptNormalisationRule => ({ ...NormalisationRule.parse({ name: 'r', ...rule }), ruleId: 'r1', position: 1, updatedAt: 1, updatedBy: 'admin' })
const aHeader = (values: Record<string, string | Buffer>, declared = 'ISO_IR 192'): Header => {
  const elements = new Map(Object.entries(values).map(([keyword, value]) => {
    const tag = tagOf(keyword) ?? 0
    return [tag, { tag, vr: vrOf(tag), bytes: Buffer.from(value as string) }] as const
  })) // prettier-ignore
  const set = characterSet(declared)
  const foreign = [...elements.values()].filter(({ tag, vr, bytes }) => isText(tag, vr) && !isAscii(bytes)).map(({ bytes }) => bytes)
  return { elements, declared, foreign, text: (tag) => cleanText(set.decode(elements.get(tag)?.bytes ?? Buffer.alloc(0))) }
}
const made = (header: Header, ...rules: KeptNormalisationRule[]) => {
  const result = normalise(header, rules)
  return result && Object.fromEntries([...result.values].map(([tag, text]) => [keywordOf(tag), text]))
}

describe('forms of values', () => {
  it('gives dates, times, ages and sexes the form of the standard and leaves what it does not understand', () => {
    // ARC-25
    expect(['1970.1.2', '1970-01-02', '1970年12月3日', '19700102', '1970-13-01', 'unknown'].map(conformDate)).toEqual(['19700102', '19700102', '19701203', '19700102', '1970-13-01', 'unknown'])
    expect(['8:05', '08:05:09.5', '080509'].map(conformTime)).toEqual(['080500', '080509.5', '080509'])
    expect(['45', '45岁', '7个月', '20天', '045Y', 'adult'].map(conformAge)).toEqual(['045Y', '045Y', '007M', '020D', '045Y', 'adult'])
    expect(['男', '2', 'female', 'm', 'X'].map(conformSex)).toEqual(['M', 'F', 'F', 'M', 'X'])
    expect(['Zhang, San', 'zhang  san', '张三', 'Zhang^San^', 'Wang^XiaoDong=王^小东=', 'Li ^ Si'].map(conformName)).toEqual(['Zhang^San', 'zhang^san', '张三', 'Zhang^San', 'Wang^XiaoDong=王^小东', 'Li^Si'])
  })
})

describe('normalising a header', () => {
  it('changes nothing without a rule for the sender and the kind of images', () => {
    const rules = [aRule({ source: 'CT*', modality: 'CT' }), aRule({ source: 'US?', enabled: false }), aRule({ source: '*ROOM*1' }), aRule({})]
    expect(rulesFor(rules, 'ct01', 'CT').length).toBe(2)
    expect(rulesFor(rules, 'CT01', 'MR').length).toBe(1)
    expect([rulesFor(rules, 'XROOMY1', '').length, rulesFor(rules, 'XROOM2', '').length, rulesFor([aRule({ source: 'A*A' })], 'A', '').length]).toEqual([2, 1, 0])
  })
  it('fills kind and body part from what else is said, and leaves what is there', () => {
    const rule = aRule({ actions: [
      { kind: 'fill', attribute: 'BodyPartExamined', when: [{ source: 'StudyDescription', contains: '胸', value: 'CHEST' }, { source: 'ProtocolName', contains: 'head', value: 'HEAD' }] },
      { kind: 'fill', attribute: 'Modality', otherwise: 'DX' },
    ] }) // prettier-ignore
    expect(made(aHeader({ StudyDescription: '胸部正位', Modality: '' }), rule)).toEqual({ BodyPartExamined: 'CHEST', Modality: 'DX' })
    expect(made(aHeader({ ProtocolName: 'HEAD routine', Modality: 'CT' }), rule)).toEqual({ BodyPartExamined: 'HEAD' })
    expect(made(aHeader({ BodyPartExamined: 'ABDOMEN', StudyDescription: '胸部', Modality: 'CT' }), rule)).toBeUndefined()
    expect(made(aHeader({ InstitutionName: 'GE demo' }), aRule({ actions: [{ kind: 'fill', attribute: 'InstitutionName', overwrite: true, otherwise: '云溪县人民医院' }] }))).toEqual({ InstitutionName: '云溪县人民医院' })
  })
  it('gives patient numbers the form of the hospital', () => {
    const form = (id: string, action: object) => made(aHeader({ PatientID: id }), aRule({ actions: [{ kind: 'patient-id', ...action }] }))?.['PatientID'] ?? id
    expect(form(' ct-0012a ', { upperCase: true, removePrefix: 'CT-', leadingZeros: 'remove' })).toBe('12A')
    expect(form('12', { leadingZeros: 'pad', padTo: 8, addPrefix: 'Y' })).toBe('Y00000012')
    expect(form('Y00000012', { addPrefix: 'Y' })).toBe('Y00000012')
    expect([form('000', { leadingZeros: 'remove' }), form('CT-', { removePrefix: 'CT-' }), form('', { addPrefix: 'Y' })]).toEqual(['0', 'CT-', ''])
  })
  it('reads texts as Chinese where they are, and never where they were told to be something else', () => {
    const gbk = Buffer.from('d5c5c8fd', 'hex')
    const rule = aRule({ actions: [{ kind: 'character-set', readAs: 'auto' }, { kind: 'fill', attribute: 'BodyPartExamined', when: [{ source: 'StudyDescription', contains: '张', value: 'CHEST' }] }] })
    expect(normalise(aHeader({ StudyDescription: gbk }, ''), [rule])).toMatchObject({ readAs: 'GB18030', by: ['r'] })
    expect(made(aHeader({ StudyDescription: gbk }, 'ISO_IR 100'), rule)).toEqual({ BodyPartExamined: 'CHEST' })
    expect(normalise(aHeader({ StudyDescription: Buffer.from('胸部') }, 'ISO_IR 100'), [rule])?.readAs).toBe('UTF-8')
    expect(normalise(aHeader({ StudyDescription: Buffer.from('K\xf6rper', 'latin1') }, 'ISO_IR 100'), [aRule({ actions: [{ kind: 'character-set', readAs: 'UTF-8' }] })])).toBeUndefined()
    for (const declared of ['GB18030', 'ISO_IR 192', 'ISO 2022 IR 6\\ISO 2022 IR 58']) expect(normalise(aHeader({ StudyDescription: gbk }, declared), [rule])?.readAs).toBeUndefined()
  })
  it('shows each rule what those before it made, and names only those that changed something', () => {
    const result = normalise(aHeader({ Modality: 'ct', PatientBirthDate: '1970.01.02', StudyDate: '20260101' }), [
      aRule({ name: 'forms', actions: [{ kind: 'conform' }] }),
      aRule({ name: 'body part', actions: [{ kind: 'fill', attribute: 'BodyPartExamined', when: [{ source: 'Modality', contains: 'CT', value: 'CHEST' }] }] }),
      aRule({ name: 'nothing', actions: [{ kind: 'conform' }] }),
    ])
    expect(result?.by).toEqual(['forms', 'body part'])
    expect(Object.fromEntries([...(result?.values ?? [])].map(([tag, text]) => [keywordOf(tag), text]))).toEqual({ Modality: 'CT', PatientBirthDate: '19700102', BodyPartExamined: 'CHEST' })
  })
})
