import { keywordOf } from '../../dicom/dictionary.ts'

// Values in the form that PS3.5 6.2 wants, from the forms that devices in the field send. '' and what is not understood stay as they are.

/** `1970.1.2`, `1970-01-02`, `1970/01/02`, `1970年1月2日` → `19700102`. */
export function conformDate(text: string): string {
  const match = /^(\d{4})[./年-](\d{1,2})[./月-](\d{1,2})日?$/.exec(text)
  if (!match) return text
  const [year = '', month = '', day = ''] = match.slice(1)
  const date = `${year}${month.padStart(2, '0')}${day.padStart(2, '0')}`
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= 31 ? date : text
}

/** `8:05:09`, `08:05`, `08:05:09.5` → `080509.5`. */
export function conformTime(text: string): string {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?$/.exec(text)
  return match ? `${(match[1] ?? '').padStart(2, '0')}${match[2]}${match[3] ?? '00'}${match[4] ?? ''}` : text
}

/** `45`, `45岁`, `45Y`, `6月`, `20天` → `045Y`, `006M`, `020D`. */
export function conformAge(text: string): string {
  const match = /^(\d{1,3})\s*(岁|周岁|y|个?月|m|周|w|天|d)?$/i.exec(text)
  if (!match) return text
  const unit = { 岁: 'Y', 周岁: 'Y', 月: 'M', 个月: 'M', 周: 'W', 天: 'D' }[match[2] ?? '岁'] ?? (match[2] ?? 'Y').toUpperCase()
  return `${(match[1] ?? '').padStart(3, '0')}${unit}`
}

const sexes: Readonly<Record<string, string>> = { 男: 'M', 男性: 'M', '1': 'M', MALE: 'M', 女: 'F', 女性: 'F', '2': 'F', FEMALE: 'F', 未知: 'O', '0': 'O', '9': 'O', UNKNOWN: 'O', OTHER: 'O' }
export function conformSex(text: string): string {
  const upper = text.toUpperCase()
  return sexes[upper] ?? (/^[MFO]$/.test(upper) ? upper : text)
}

/** `Zhang, San` and `zhang  san` have their components; a Chinese name without blanks is one word. */
export function conformName(text: string): string {
  const groups = text.split('=').map((group) => {
    const tidy = group.trim().replaceAll(/\s+/g, ' ') // prettier-ignore
    if (tidy.includes('^')) return tidy.replaceAll(/ ?\^ ?/g, '^').replace(/\^+$/, '') // prettier-ignore
    const [family = '', ...given] = tidy.split(/, ?| /)
    return given.length === 0 ? family : `${family}^${given.join(' ')}`
  })
  return groups.join('=').replace(/=+$/, '')
}

const longestText = 64
/** Free texts; a number that is cut would be another number. */
const shortened = new Set(['StudyDescription', 'SeriesDescription', 'ProtocolName', 'InstitutionName', 'ManufacturerModelName', 'Manufacturer'])
const coded = new Set(['Modality', 'BodyPartExamined', 'Laterality', 'PatientPosition', 'ViewPosition'])

/** One value of a header as it ought to be. */
export function conform(tag: number, vr: string, text: string): string {
  const keyword = keywordOf(tag) ?? ''
  if (text === '') return text
  if (vr === 'DA') return text.split('\\').map(conformDate).join('\\')
  if (vr === 'TM') return text.split('\\').map(conformTime).join('\\')
  if (vr === 'AS') return conformAge(text)
  if (keyword === 'PatientSex') return conformSex(text)
  if (vr === 'PN') return conformName(text)
  if (coded.has(keyword)) return text.toUpperCase().trim()
  return shortened.has(keyword) ? [...text].slice(0, longestText).join('') : text
}
