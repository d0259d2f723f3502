/**
 * 脱敏 (GB/T 39725-2020; the hospital's table of levels). L0 full: after unmasking, with reason and audit. L1: lists and pages of staff.
 * L2: sharing, teaching, screens. L3: de-identified export. Done by servers, never by a browser.
 */
export type MaskLevel = 'L0' | 'L1' | 'L2' | 'L3'

const stars = (count: number): string => '*'.repeat(Math.max(0, count))
const lastOf = (text: string, count: number): string => (count === 0 ? '' : text.slice(-count))
/** By characters, so that rare ideographs outside the basic plane are not cut in two. */
const charactersOf = (text: string): string[] => [...text]

/**
 * A person's name. Chinese and minority names (阿凡提·买买提) go by their number of characters, Latin ones by words, the family name first.
 * @returns '' at L3: there a pseudonym stands instead.
 */
export function maskName(name: string, level: MaskLevel): string {
  const text = name.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  const words = text.split(/\s+/)
  const isLatin = (word: string) => /^\p{Script=Latin}/u.test(word)
  const latin = words.filter(isLatin)
  return words.map((word) => (isLatin(word) ? maskLatin(word, level === 'L1' && latin.length > 1 && word === latin[0]) : maskHan(word, level))).join(' ')
}

function maskLatin(word: string, isClear: boolean): string {
  return isClear ? word : `${charactersOf(word)[0]}***`
}

function maskHan(name: string, level: 'L1' | 'L2'): string {
  const characters = charactersOf(name)
  const [first = '', last = ''] = [characters[0], characters.at(-1)]
  if (characters.length === 1) return '*'
  if (characters.length === 2) return `${first}*`
  return level === 'L1' ? `${first}${stars(characters.length - 2)}${last}` : `${first}**`
}

/** 身份证 of 18 or 15 digits; whatever else stands there is masked as a passport. */
export function maskIdCard(idCard: string, level: MaskLevel): string {
  const text = idCard.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  if (!/^(?:\d{17}[\dXx]|\d{15})$/.test(text)) return maskPassport(text, level)
  if (level === 'L2') return `${text.slice(0, 1)}${stars(text.length - 2)}${lastOf(text, 1)}`
  const shown = text.length === 18 ? 4 : 3
  return `${text.slice(0, 6)}${stars(text.length - 6 - shown)}${lastOf(text, shown)}`
}

/** Passports and the permits of Hong Kong, Macao and Taiwan. */
export function maskPassport(number: string, level: MaskLevel): string {
  const text = number.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  const shown = level === 'L1' && text.length >= 7 ? 3 : 0
  return text.length < 3 ? stars(text.length) : `${text.slice(0, 1)}${stars(text.length - 1 - shown)}${lastOf(text, shown)}`
}

/** Mobile numbers of the mainland, also written with +86 and spaces; everything else as a landline with or without its area code. */
export function maskPhone(phone: string, level: MaskLevel): string {
  const text = phone.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  const digits = text.replace(/\D/g, '').replace(/^(?:00)?86(?=1[3-9]\d{9}$)/, '')
  if (/^1[3-9]\d{9}$/.test(digits)) return level === 'L1' ? `${digits.slice(0, 3)}****${digits.slice(7)}` : `${digits.slice(0, 3)}********`
  const area = /^(0(?:10|2\d|[3-9]\d{2}))\d{7,8}$/.exec(digits)?.[1] ?? ''
  if (level === 'L2') return area === '' ? '****' : area
  return `${area === '' ? '' : `${area}-`}****${digits.length >= 7 ? lastOf(digits, 2) : ''}`
}

// A district's name holds no digit and nothing that belongs to a street or village; 小区 and 社区 are houses, not districts.
const province = /^.{2,8}?(?:特别行政区|自治区|省)/u
const city = /^[^\d]{1,12}?(?:自治州|地区|市|盟)/u
const district = /^[^\d镇乡街路巷弄村号栋楼室组]{1,9}?(?:自治县|自治旗|(?<![小社园])区|县|旗|市)/u

/** To the district (区/县), at L2 to the city; what cannot be told apart is not shown at all. */
export function maskAddress(address: string, level: MaskLevel): string {
  const text = address.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  const take = (rest: string, part: RegExp) => part.exec(rest)?.[0] ?? ''
  const inProvince = take(text, province)
  const inCity = inProvince + take(text.slice(inProvince.length), city)
  const shown = level === 'L1' ? inCity + take(text.slice(inCity.length), district) : inCity
  return shown === text ? shown : `${shown}***`
}

/** 医保卡, 就诊卡. */
export function maskCard(number: string, level: MaskLevel): string {
  const text = number.trim()
  if (level === 'L0' || text === '') return text
  if (level === 'L3') return ''
  const shown = level === 'L1' ? 4 : 2
  return text.length <= 4 ? stars(4) : `****${lastOf(text, shown)}`
}

/** 影像号, 检查号: staff need them; outside only their end. A number that is an identity card's is masked as such. */
export function maskNumber(number: string, level: MaskLevel): string {
  const text = number.trim()
  if (level === 'L0' || text === '') return text
  if (isIdCard(text)) return maskIdCard(text, level)
  if (level === 'L1') return text
  if (level === 'L3') return ''
  return text.length <= 4 ? stars(4) : `****${lastOf(text, 4)}`
}

/** Only the year stays, the age is told beside it. @param birthDate ISO or DICOM date, perhaps cut off; '' when unknown. */
export function maskBirthDate(birthDate: string, level: MaskLevel): string {
  if (level === 'L0') return birthDate
  return level === 'L1' ? (/^\d{4}/.exec(birthDate)?.[0] ?? '') : ''
}

/** @param years of life. At L2 nobody is older than `90+`; at L3 a band of five years is left. */
export function maskAge(years: number, level: MaskLevel): string {
  if (level === 'L0' || level === 'L1') return String(years)
  if (years >= 90) return '90+'
  if (level === 'L2') return String(years)
  const band = Math.floor(years / 5) * 5
  return `${band}-${band + 4}`
}

/** At L3 every date of a patient moves by the same number of days, so that intervals stay. @param date ISO date. */
export function shiftDate(date: string, days: number): string {
  const at = Date.parse(`${date}T00:00:00Z`)
  return Number.isNaN(at) ? '' : new Date(at + days * 86_400_000).toISOString().slice(0, 10)
}

const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]

/** GB 11643-1999: 18 characters with a possible date of birth and the right check character. */
export function isIdCard(text: string): boolean {
  if (!/^[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]$/.test(text)) return false
  const sum = weights.reduce((total, weight, at) => total + weight * Number(text[at]), 0)
  return '10X98765432'[sum % 11] === text[17]?.toUpperCase()
}

const idCardInText = /(?<!\d)[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)/g
const mobileInText = /(?<!\d)1[3-9]\d{9}(?!\d)/g

/**
 * Free text (临床诊断, 病史, 报告): identity cards with a right check character and mobile numbers are masked, and the patient's own name
 * wherever it stands.
 */
export function maskText(text: string, level: MaskLevel, name = ''): string {
  return replaceInText(text, level, name, (_found, masked) => masked)
}

/**
 * A text that somebody saw masked and changed: where a mask still stands, what it hid comes back, in the order of the text before.
 * @param before as kept, unmasked.
 */
export function restoreText(changed: string, before: string, level: MaskLevel, name = ''): string {
  const hidden = new Map<string, string[]>()
  replaceInText(before, level, name, (found, masked) => {
    hidden.set(masked, [...(hidden.get(masked) ?? []), found])
    return masked
  })
  let restored = changed
  for (const [masked, originals] of hidden) {
    if (masked === '') continue
    let at = 0
    restored = restored.split(masked).reduce((whole, part) => `${whole}${originals[Math.min(at++, originals.length - 1)]}${part}`)
  }
  return restored
}

function replaceInText(text: string, level: MaskLevel, name: string, replace: (found: string, masked: string) => string): string {
  if (level === 'L0') return text
  const masked = text
    .replace(idCardInText, (found) => (isIdCard(found) ? replace(found, maskIdCard(found, level)) : found))
    .replace(mobileInText, (found) => replace(found, maskPhone(found, level)))
  const ownName = name.trim()
  // A single character would be struck out of every second word.
  return charactersOf(ownName).length < 2 ? masked : masked.split(ownName).reduce((whole, part) => whole + replace(ownName, maskName(ownName, level)) + part)
}
