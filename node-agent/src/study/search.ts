import type { StudySearch } from 'specs'
import type { MatchQuery, StudyRow } from '../archive/archive.ts'

/** DICOM keyword → text to match. */
export type Match = NonNullable<MatchQuery['match']>

/**
 * What a search asks of the archive (PS3.4 C.2.2.2); more than one when what was typed may be a number of several kinds.
 * Texts of devices are found anywhere in the value: nobody knows how a technician wrote it.
 */
export function matchesOf(search: StudySearch): Match[] {
  const { text = '', patientId = '', accessionNumber = '', studyId = '', modality = '', bodyPart = '', description = '', device = '', dateFrom = '', dateTo = '' } = search
  const common = withoutEmpty({
    PatientID: patientId,
    AccessionNumber: accessionNumber,
    StudyID: studyId,
    ModalitiesInStudy: modality.toUpperCase(),
    BodyPartExamined: anywhere(bodyPart.toUpperCase()),
    StudyDescription: anywhere(description),
    StationName: anywhere(device),
    StudyDate: dateFrom === '' && dateTo === '' ? '' : `${dicomDate(dateFrom)}-${dicomDate(dateTo)}`,
  })
  if (text === '') return [common]
  if (!/\d/.test(text)) return [{ ...common, PatientName: text }]
  return [{ AccessionNumber: text, ...common }, { PatientID: text, ...common }]
}

const withoutEmpty = (match: Match): Match => Object.fromEntries(Object.entries(match).filter(([, value]) => value !== ''))
const anywhere = (text: string): string => (text === '' || /[*?]/.test(text) ? text : `*${text}*`)
const dicomDate = (date: string): string => date.replaceAll('-', '')

/** Where a page ends: of this day so many have been shown, older ones follow. '' is before the newest day, UNDATED behind the oldest. */
export interface Place {
  readonly day: string
  readonly shown: number
}

export const start: Place = { day: '', shown: 0 }
/** Studies without a date come last. */
export const UNDATED = 'none'

export function parsePlace(text: string | undefined): Place {
  const [day = '', shown = '0'] = text?.split('.') ?? []
  return { day, shown: Number(shown) }
}

export const placeText = ({ day, shown }: Place): string => `${day}.${shown}`

/** The place behind a page that began at `from`. */
export function placeAfter(from: Place, rows: readonly Pick<StudyRow, 'studyDate'>[]): Place {
  const last = rows.at(-1)?.studyDate ?? ''
  const day = last === '' ? UNDATED : last
  return { day, shown: (day === from.day ? from.shown : 0) + rows.filter(({ studyDate }) => studyDate === last).length }
}

/** Narrows a match to what follows a place; `emptyValues` says what `""` means. */
export function matchFrom(match: Match, { day }: Place): { readonly match: Match; readonly emptyValues?: true } {
  if (day === '') return { match }
  if (day === UNDATED) return { match: { ...match, StudyDate: '""' }, emptyValues: true }
  const [from = ''] = (match['StudyDate'] ?? '').split('-')
  return { match: { ...match, StudyDate: `${from}-${day}` } }
}
