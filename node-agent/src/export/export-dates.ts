/** What becomes of dates: moved by the same number of days for all exams of a patient, left, or taken out as the basic profile has it. */
export type ExportDates = { readonly kind: 'shifted'; readonly days: number } | { readonly kind: 'kept' } | { readonly kind: 'removed' }

/** A DA value, several joined by `\`; what is no date becomes ''. */
export function shiftDicomDate(value: string, days: number): string {
  return value
    .split('\\')
    .map((date) => shifted(date.trim().replace(/^(\d{4})\.(\d{2})\.(\d{2})$/, '$1$2$3'), days))
    .join('\\')
}

/** A DT value: its date moves, its time stays. A year or month alone cannot be moved by days and becomes ''. */
export function shiftDicomDateTime(value: string, days: number): string {
  return value
    .split('\\')
    .map((moment) => {
      const [, date = '', rest = ''] = /^(\d{8})(\d{0,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)\s*$/.exec(moment.trim()) ?? []
      const moved = shifted(date, days)
      return moved === '' ? '' : moved + rest
    })
    .join('\\')
}

function shifted(date: string, days: number): string {
  const [, year, month, day] = /^(\d{4})(\d{2})(\d{2})$/.exec(date) ?? []
  if (year === undefined || Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) return ''
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day) + days)
  const moved = new Date(at)
  if (moved.getUTCFullYear() < 1 || moved.getUTCFullYear() > 9999) return ''
  return `${String(moved.getUTCFullYear()).padStart(4, '0')}${String(moved.getUTCMonth() + 1).padStart(2, '0')}${String(moved.getUTCDate()).padStart(2, '0')}`
}

/** Years of life at the exam, in bands of five, nobody older than 90 (the hospital's table of levels, L3). @returns an AS value, or '' */
export function ageBand(age: string, birthDate: string, studyDate: string): string {
  const years = yearsOf(age) ?? yearsBetween(birthDate, studyDate)
  return years === undefined ? '' : `${String(Math.min(90, Math.floor(years / 5) * 5)).padStart(3, '0')}Y`
}

function yearsOf(age: string): number | undefined {
  const [, count, unit] = /^(\d{3})([DWMY])$/.exec(age.trim()) ?? []
  if (count === undefined) return undefined
  return unit === 'Y' ? Number(count) : Math.floor(Number(count) / { D: 365, W: 52, M: 12 }[unit as 'D' | 'W' | 'M'])
}

function yearsBetween(birthDate: string, studyDate: string): number | undefined {
  if (!/^\d{8}$/.test(birthDate) || !/^\d{8}$/.test(studyDate)) return undefined
  const years = Math.floor((Number(studyDate) - Number(birthDate)) / 10_000)
  return years >= 0 && years < 150 ? years : undefined
}
