import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { characterSet, cleanText } from './character-set.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('reading text by its Specific Character Set', () => {
  // Name vectors of PS3.5 H, I and K; the Chinese ones also in standards/interop 3.1. FED-21
  it('reads Chinese names in GB18030, GBK and UTF-8', () => {
    const gb = hex('57616e675e5869616f446f6e673d cdf5 5e d0a1b6ab 3d')
    expect(characterSet('GB18030').decode(gb)).toBe('Wang^XiaoDong=王^小东=')
    expect(characterSet('GBK').decode(gb)).toBe('Wang^XiaoDong=王^小东=')
    expect(characterSet('ISO_IR 192').decode(hex('57616e675e5869616f446f6e673d e78e8b 5e e5b08fe4b89c 3d'))).toBe('Wang^XiaoDong=王^小东=')
  })

  it('reads GB2312 called by an escape sequence, also when the sender does not repeat it', () => {
    const name = '5a68616e675e5869616f446f6e67 3d 1b242941 d5c5 5e 1b242941 d0a1b6ab 3d'
    expect(characterSet('\\ISO 2022 IR 58').decode(hex(name))).toBe('Zhang^XiaoDong=张^小东=')
    expect(characterSet('ISO 2022 IR 6\\ISO 2022 IR 58').decode(hex(name.replace('5e 1b242941', '5e')))).toBe('Zhang^XiaoDong=张^小东=')
  })

  it('does not take the second byte of a character for a separator', () => {
    expect(characterSet('GBK').decode(hex('81 5c 5c 41')).split('\\')).toEqual(['乗', 'A'])
  })

  it('reads Japanese names in kanji, kana and half-width katakana', () => {
    const kanji = hex(
      '59616d6164615e5461726f753d 1b2442 3b3345 44 1b2842 5e 1b2442 4240 4f3a 1b2842 3d 1b2442 2464245e2440 1b2842 5e 1b2442 243f246d2426 1b2842',
    )
    expect(characterSet('\\ISO 2022 IR 87').decode(kanji)).toBe('Yamada^Tarou=山田^太郎=やまだ^たろう')
    const katakana = hex('d4cfc0de 5e c0dbb3 3d 1b2442 3b33 4544 1b284a 5e 1b2442 4240 4f3a 1b284a')
    expect(characterSet('ISO 2022 IR 13\\ISO 2022 IR 87').decode(katakana)).toBe('ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎')
  })

  it('reads Korean names', () => {
    expect(characterSet('\\ISO 2022 IR 149').decode(hex('486f6e675e47696c646f6e673d 1b242943 fbf3 5e 1b242943 d1ceD4d7'))).toBe(
      'Hong^Gildong=洪^吉洞',
    )
  })

  it.each([
    ['ISO_IR 100', '4dfc6c6c6572', 'Müller'],
    ['ISO-IR 100', '63 72 e9 e9 65', 'créée'],
    ['ISO_IR 101', 'b3f364bc', 'łódź'],
    ['ISO_IR 144', 'bbeed1', 'Люб'],
    ['ISO_IR 126', 'c4e9effd', 'Διού'],
    ['ISO_IR 138', 'f9e5ed', 'שום'],
    ['ISO_IR 148', 'fee7', 'şç'],
    ['ISO_IR 166', 'e4b7c2', 'ไทย'],
  ])('reads %s', (term, bytes, text) => {
    expect(characterSet(term).decode(hex(bytes))).toBe(text)
  })

  it('understands devices that declare nothing but send UTF-8 or GB18030', () => {
    for (const declared of ['', 'ISO_IR 6', 'ISO_IR 100']) {
      expect(characterSet(declared).decode(Buffer.from('张三^李'))).toBe('张三^李')
      expect(characterSet(declared).decode(hex('cdf5 5e d0a1b6ab'))).toBe('王^小东')
    }
  })

  it('never throws and loses no ASCII on arbitrary bytes', () => {
    const bytes = Buffer.from([0x41, 0xff, 0x1b, 0x24, 0x42, 0x30, 0x1b, 0xfe, 0x80, 0x1b])
    for (const term of [
      '',
      'ISO_IR 100',
      'ISO_IR 192',
      'GB18030',
      '\\ISO 2022 IR 58',
      '\\ISO 2022 IR 87',
      '\\ISO 2022 IR 149',
      'nonsense',
    ]) {
      expect(characterSet(term).decode(bytes).startsWith('A')).toBe(true)
    }
  })

  it('drops padding and characters no database or page wants', () => {
    expect(cleanText('CT\u0000 ')).toBe('CT')
    expect(cleanText(' a\u0007\nb ')).toBe('a\nb')
  })
})
