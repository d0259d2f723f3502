import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isIdCard, maskAddress, maskAge, maskBirthDate, maskCard, maskIdCard, maskName, maskNumber, maskPassport, maskPhone, maskText, restoreText, shiftDate, type MaskLevel } from './masking.ts' // prettier-ignore

const levels = ['L1', 'L2', 'L3'] as const
const each = (mask: (text: string, level: MaskLevel) => string, text: string) => levels.map((level) => mask(text, level))

describe('masking of patient data', () => {
  it('shows names as the table says, by their length and script', () => {
    // SEC-06
    expect(each(maskName, '张三')).toEqual(['张*', '张*', ''])
    expect(each(maskName, '张秀兰')).toEqual(['张*兰', '张**', ''])
    expect(each(maskName, '欧阳小明')).toEqual(['欧**明', '欧**', ''])
    expect(each(maskName, '阿凡提·买买提')).toEqual(['阿*****提', '阿**', ''])
    expect(each(maskName, 'Li Mei')).toEqual(['Li M***', 'L*** M***', ''])
    expect(each(maskName, 'Madonna')).toEqual(['M***', 'M***', ''])
    expect(each(maskName, '𠮷三丰')).toEqual(['𠮷*丰', '𠮷**', ''])
    expect([maskName('王', 'L1'), maskName('', 'L1'), maskName('张三', 'L0')]).toEqual(['*', '', '张三'])
  })
  it('shows numbers as the table says', () => {
    expect(each(maskIdCard, '11010519491231002X')).toEqual(['110105********002X', '1****************X', ''])
    expect(each(maskIdCard, '110105491231002')).toEqual(['110105******002', '1*************2', ''])
    expect(each(maskPassport, 'E12345678')).toEqual(['E*****678', 'E********', ''])
    expect(each(maskIdCard, 'H60012345')).toEqual(['H*****345', 'H********', ''])
    expect(each(maskPhone, '13812348888')).toEqual(['138****8888', '138********', ''])
    expect(each(maskPhone, '+86 138 1234 8888')).toEqual(['138****8888', '138********', ''])
    expect(each(maskPhone, '010-62345678')).toEqual(['010-****78', '010', ''])
    expect(each(maskPhone, '0872 3123456')).toEqual(['0872-****56', '0872', ''])
    expect(each(maskPhone, '120')).toEqual(['****', '****', ''])
    expect(each(maskCard, '6222021234567890')).toEqual(['****7890', '****90', ''])
    expect(each(maskNumber, 'YX26112001')).toEqual(['YX26112001', '****2001', ''])
    expect(maskNumber('11010519491231002X', 'L1')).toBe('110105********002X')
  })
  it('shows addresses to the district, then to the city', () => {
    expect(each(maskAddress, '北京市海淀区中关村大街1号')).toEqual(['北京市海淀区***', '北京市***', ''])
    expect(each(maskAddress, '云南省大理白族自治州祥云县祥城镇城东路2号')).toEqual(['云南省大理白族自治州祥云县***', '云南省大理白族自治州***', ''])
    expect(each(maskAddress, '江苏省昆山市玉山镇前进路12号阳光小区3栋')).toEqual(['江苏省昆山市***', '江苏省昆山市***', ''])
    expect(each(maskAddress, '内蒙古自治区锡林郭勒盟东乌珠穆沁旗额吉淖尔镇')).toEqual(['内蒙古自治区锡林郭勒盟东乌珠穆沁旗***', '内蒙古自治区锡林郭勒盟***', ''])
    expect(each(maskAddress, '阳光小区3栋2单元')).toEqual(['***', '***', ''])
  })
  it('leaves of a birthday the year, of an age at last a band', () => {
    expect(levels.map((level) => maskBirthDate('1961-04-12', level))).toEqual(['1961', '', ''])
    expect(levels.map((level) => maskAge(94, level))).toEqual(['94', '90+', '90+'])
    expect(levels.map((level) => maskAge(67, level))).toEqual(['67', '67', '65-69'])
    expect([shiftDate('2026-03-01', -1), shiftDate('', 3)]).toEqual(['2026-02-28', ''])
  })
  it('knows an identity card by its check character', () => {
    expect([isIdCard('11010519491231002X'), isIdCard('110105194912310021'), isIdCard('11010519491331002X')]).toEqual([true, false, false])
  })
  it('finds identity cards, mobile numbers and the own name in free text', () => {
    const text = '患者张秀兰，身份证11010519491231002X，电话13812348888，检查号202611200112345678'
    expect(maskText(text, 'L1', '张秀兰')).toBe('患者张*兰，身份证110105********002X，电话138****8888，检查号202611200112345678')
    expect(maskText(text, 'L3', '张秀兰')).toBe('患者，身份证，电话，检查号202611200112345678')
  })
})

const digits = (length: number) => fc.array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length }).map((list) => list.join(''))
const idCards = fc.tuple(digits(5), fc.integer({ min: 1900, max: 2030 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }), digits(3)).map(([area, year, month, day, order]) => {
  const front = `1${area}${year}${String(month).padStart(2, '0')}${String(day).padStart(2, '0')}${order}`
  return [...'0123456789X'].map((check) => front + check).find(isIdCard)!
})
const mobiles = digits(9).map((rest) => `13${rest}`)
const hanName = fc.array(fc.constantFrom(...'张王李赵欧阳诸葛晓明秀兰建国志强'), { minLength: 2, maxLength: 6 }).map((list) => list.join(''))
const someLevel = fc.constantFrom(...levels)

describe('whatever is masked', () => {
  it('no longer holds what was to be hidden', () => {
    // SEC-06
    fc.assert(fc.property(idCards, someLevel, (id, level) => void expect(maskIdCard(id, level)).not.toContain(id.slice(6, 14))))
    fc.assert(fc.property(mobiles, someLevel, (phone, level) => void expect(maskPhone(phone, level)).not.toContain(phone.slice(3, 7))))
    fc.assert(fc.property(hanName, someLevel, (name, level) => void expect(maskName(name, level)).not.toBe(name)))
    const anyText = fc.string({ minLength: 2, unit: fc.constantFrom(...'AB7张 -') }).filter((text) => text.trim().length > 1)
    fc.assert(fc.property(anyText, someLevel, (any, level) => {
      for (const mask of [maskIdCard, maskPhone, maskPassport]) expect(mask(any, level)).not.toBe(any.trim())
    }))
  })
  it('shows less at every higher level and everything only at L0', () => {
    const clearIn = (text: string) => text.replaceAll('*', '').length
    fc.assert(fc.property(fc.oneof(idCards, mobiles, hanName), (text) => {
      for (const mask of [maskName, maskIdCard, maskPhone, maskCard, maskPassport]) {
        const shown = (['L0', 'L1', 'L2', 'L3'] as const).map((level) => clearIn(mask(text, level)))
        expect([...shown].sort((a, b) => b - a)).toEqual(shown)
        expect(mask(text, 'L0')).toBe(text)
      }
    }))
  })
  it('comes back in a text that was changed around it, and only there', () => {
    const pieces = fc.array(fc.oneof(idCards, mobiles, fc.constant('张秀兰'), fc.constantFrom('，', '胸痛三天 ', 'x1')), { maxLength: 8 })
    fc.assert(fc.property(pieces, (parts) => {
      const before = parts.join('。')
      const seen = maskText(before, 'L1', '张秀兰')
      expect(restoreText(seen, before, 'L1', '张秀兰')).toBe(before)
      expect(restoreText(`补充：${seen}`, before, 'L1', '张秀兰')).toBe(`补充：${before}`)
    }))
  })
})
