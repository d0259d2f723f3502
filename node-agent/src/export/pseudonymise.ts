import { Buffer } from 'node:buffer'
import { maskText } from 'specs'
import { characterSet, cleanText, textVrs } from '../dicom/character-set.ts'
import type { DatasetEditor, NewElement } from '../dicom/dataset-rewriter.ts'
import type { ElementHead } from '../dicom/dataset-scanner.ts'
import { groupOf, isPrivate, keywordOf, vrOf } from '../dicom/dictionary.ts'
import { profileAction } from './confidentiality-profile.ts'
import { ageBand, shiftDicomDate, shiftDicomDateTime, type ExportDates } from './export-dates.ts'
import type { IdentifyingWords } from './identifying-words.ts'

/** Under which names a patient and an exam leave, and what of them may stay. */
export interface Pseudonymity {
  /** PAT-000123 */
  readonly patient: string
  /** Instead of the accession number: ST-000045. */
  readonly exam: string
  readonly uid: (original: string) => string
  readonly dates: ExportDates
  /** Sex, and the age in bands of five years. */
  readonly characteristics: boolean
  /** What the register says of the patient; what the file itself says is added while it is read. */
  readonly words: IdentifyingWords
}

const SPECIFIC_CHARACTER_SET = 0x00080005
const STUDY_DATE = 0x00080020
const ACCESSION_NUMBER = 0x00080050
const PATIENT_NAME = 0x00100010
const PATIENT_ID = 0x00100020
const BIRTH_DATE = 0x00100030
const SEX = 0x00100040
const AGE = 0x00101010
const TIMES_MODIFIED = 0x00280303
const ACQUISITION_CONTEXT = 0x00400555
const PERSONS = new Set([0x00100010, 0x00101001, 0x00101005, 0x00101060, 0x00102297])
/** Numbers and dates that name the patient, the exam or the stay. */
const CODES = new Set([0x00080050, 0x00100020, 0x00100030, 0x00101000, 0x00101090, 0x00102154, 0x00200010, 0x00380010, 0x00380060, 0x00400009, 0x00401001, 0x00402016, 0x00402017])
const PHRASES = new Set([0x00080080, 0x00080081, 0x00101040, 0x00102299])
/** UIDs that say what kind of thing something is. */
const KINDS = new Set([0x00080016, 0x0008001a, 0x0008001b, 0x00080062, 0x0008010c, 0x00080117, 0x00080118, 0x00081150, 0x0008115a, 0x00083002, 0x00041510, 0x00041512, 0x00400440])
/** Longer texts are not looked through, they go. */
const LONGEST_TEXT = 256 * 1024
const DUMMY = 'REMOVED'

/**
 * PS3.15 Annex E: the Basic Application Level Confidentiality Profile, with the options that `pseudonymity` names, for the header of one
 * instance. Beyond the table: every other person's name goes, every other instance's UID is replaced, values whose form we cannot read go, and a
 * text that stays is emptied when it contains a word that points at the patient.
 */
export function pseudonymising(pseudonymity: Pseudonymity): DatasetEditor {
  const { words, dates, characteristics } = pseudonymity
  const told = new Map<number, string>()
  let declared = ''

  const plain = (bytes: Buffer) => cleanText(bytes.toString('latin1'))
  // Also codes and AE titles: devices put into them what they were told.
  const decoded = (bytes: Buffer) => cleanText(characterSet(declared).decode(bytes))
  const remember = ({ tag, depth }: ElementHead, vr: string, bytes: Buffer) => {
    const text = decoded(bytes)
    if (vr === 'PN' || PERSONS.has(tag)) for (const name of text.split('\\')) words.addName(name)
    else if (CODES.has(tag)) for (const code of text.split('\\')) words.addCode(code)
    else if (PHRASES.has(tag)) words.addPhrase(text)
    if (depth === 0) told.set(tag, text)
  }
  const isNamed = (tag: number, vr: string) => vr === 'PN' || PERSONS.has(tag) || CODES.has(tag) || PHRASES.has(tag) || tag === AGE || tag === SEX || tag === STUDY_DATE
  const moves = (tag: number, vr: string) => (vr === 'DA' || vr === 'DT' || vr === 'TM') && dates.kind !== 'removed' && !isPrivate(tag) && keywordOf(tag) !== undefined && groupOf(tag) !== 0x0010 && groupOf(tag) !== 0x0016

  return {
    element({ tag, vr: written, length = 0 }) {
      const vr = written === 'UN' ? vrOf(tag) : written
      if (tag === SPECIFIC_CHARACTER_SET) return 'ask'
      if (isNamed(tag, vr)) return length <= LONGEST_TEXT ? 'ask' : 'drop'
      const action = profileAction(tag)
      if (vr === 'UI') return length > LONGEST_TEXT || action === 'X' ? 'drop' : 'ask'
      if (moves(tag, vr)) return length > LONGEST_TEXT ? 'drop' : 'ask'
      if (action === 'X') return 'drop'
      if (action !== undefined) return length <= LONGEST_TEXT ? 'ask' : 'drop'
      if (written === 'UN' || vr === 'UR') return 'drop'
      if (vr === 'DA' || vr === 'DT' || vr === 'TM' || isLooked(vr)) return length <= LONGEST_TEXT ? 'ask' : 'drop'
      return 'keep'
    },

    value(head, bytes) {
      const { tag, depth } = head
      const vr = head.vr === 'UN' ? vrOf(tag) : head.vr
      if (tag === SPECIFIC_CHARACTER_SET) {
        if (depth === 0) declared = plain(bytes)
        return Buffer.from(characterSetsOnly(plain(bytes)))
      }
      if (isNamed(tag, vr)) remember(head, vr, bytes)
      const action = profileAction(tag)
      if (vr === 'UI') return Buffer.from(mappedUids(plain(bytes), KINDS.has(tag) ? (uid) => uid : pseudonymity.uid), 'latin1')
      if (moves(tag, vr)) return Buffer.from(dates.kind === 'shifted' ? moved(vr, plain(bytes), dates.days) : timesOnly(plain(bytes)), 'latin1')
      if (action === 'X') return undefined
      if (vr === 'PN' && action === undefined) return undefined
      if (action === 'Z' || action === 'X/Z' || (action === undefined && (vr === 'DA' || vr === 'DT' || vr === 'TM'))) return Buffer.alloc(0)
      // Where the type decides, a value that is empty already may be so; any other is replaced.
      if (action !== undefined) return bytes.length === 0 ? bytes : dummyOf(vr, bytes.length)
      return () => (pointsAt(words, vr, decoded(bytes)) ? replacementOf(vr) : bytes)
    },

    sequence({ tag, vr }) {
      const action = profileAction(tag)
      if (vr === 'UN') return 'drop'
      if (action === undefined || action === 'X/Z/U*') return 'into'
      // Of lists that the table wants cleaned (content of documents, drawings, codes of institutions) nothing is known to be harmless.
      // Those that must be there may be empty; of the others most must not be.
      return action === 'D' || action === 'Z' || tag === ACQUISITION_CONTEXT ? 'empty' : 'drop'
    },

    added() {
      const text = (tag: number, vr: string, value: string): NewElement => ({ tag, vr, value: Buffer.from(value, 'latin1') })
      const age = ageBand(told.get(AGE) ?? '', told.get(BIRTH_DATE) ?? '', told.get(STUDY_DATE) ?? '')
      const sex = /^[MFO]$/.test(told.get(SEX) ?? '') ? (told.get(SEX) ?? '') : ''
      return [
        text(ACCESSION_NUMBER, 'SH', pseudonymity.exam),
        text(PATIENT_NAME, 'PN', pseudonymity.patient),
        text(PATIENT_ID, 'LO', pseudonymity.patient),
        text(SEX, 'CS', characteristics ? sex : ''),
        ...(characteristics && age !== '' ? [text(AGE, 'AS', age)] : []),
        text(0x00120062, 'CS', 'YES'),
        text(0x00120063, 'LO', 'DICOM PS3.15 E.1 Basic Profile\\Lianpian L3'),
        { tag: 0x00120064, vr: 'SQ', value: methods(pseudonymity).map(([code, meaning]) => [text(0x00080100, 'SH', code), text(0x00080102, 'SH', 'DCM'), text(0x00080104, 'LO', meaning)]) },
        text(TIMES_MODIFIED, 'CS', { shifted: 'MODIFIED', kept: 'UNMODIFIED', removed: 'REMOVED' }[dates.kind]),
      ]
    },
  }
}

/** PS3.16 CID 7050. */
const methods = ({ dates, characteristics }: Pseudonymity): [string, string][] => [
  ['113100', 'Basic Application Confidentiality Profile'],
  ...(dates.kind === 'shifted' ? [['113107', 'Retain Longitudinal Temporal Information Modified Dates Option'] as [string, string]] : []),
  ...(dates.kind === 'kept' ? [['113106', 'Retain Longitudinal Temporal Information Full Dates Option'] as [string, string]] : []),
  ...(characteristics ? [['113108', 'Retain Patient Characteristics Option'] as [string, string]] : []),
]

/** Texts in which somebody may have written a name, and numbers, which may be the number of somebody. */
const isLooked = (vr: string): boolean => textVrs.has(vr) || vr === 'CS' || vr === 'AE' || isNumber(vr)
const isNumber = (vr: string): boolean => vr === 'IS' || vr === 'DS'
const pointsAt = (words: IdentifyingWords, vr: string, text: string): boolean => (isNumber(vr) ? text.split('\\').some((number) => words.isCode(number)) : pointsAtSomebody(words, text))

export function pointsAtSomebody(words: IdentifyingWords, text: string): boolean {
  return words.isIn(text) || maskText(text, 'L3') !== text
}

function mappedUids(text: string, map: (uid: string) => string): string {
  const isUid = (uid: string) => uid.length <= 64 && /^[0-9]+(?:\.[0-9]+)*$/.test(uid)
  // Those of the standard itself name no instance (PS3.6 A).
  return text
    .split('\\')
    .map((uid) => uid.trim())
    .map((uid) => (!isUid(uid) ? '' : uid.startsWith('1.2.840.10008.') ? uid : map(uid)))
    .join('\\')
}

const moved = (vr: string, text: string, days: number): string => (vr === 'TM' ? timesOnly(text) : vr === 'DA' ? shiftDicomDate(text, days) : shiftDicomDateTime(text, days))

/** A field for times could hold a word as well. */
const timesOnly = (text: string): string => (/^[\d.:+\-\\ ]*$/.test(text) ? text : '')
const characterSetsOnly = (text: string): string => (text.split('\\').every((term) => /^(?:|ISO[ _-]?(?:2022[ _-]?)?IR[ _-]?\d{1,3}|GB18030|GBK|GB2312|UTF-?8)$/i.test(term.trim())) ? text : '')

const replacementOf = (vr: string): Buffer => (isNumber(vr) ? Buffer.alloc(0) : Buffer.from(DUMMY))

/** A value that is one of its kind and says nothing (PS3.15 E.1.1, note to D). */
function dummyOf(vr: string, length: number): Buffer {
  const texts: Readonly<Record<string, string>> = { DA: '19000101', TM: '000000', DT: '19000101000000', AS: '000Y', IS: '0', DS: '0', UR: '' }
  const text = texts[vr]
  if (text !== undefined) return Buffer.from(text)
  return textVrs.has(vr) || vr === 'CS' || vr === 'AE' ? Buffer.from(DUMMY) : Buffer.alloc(length)
}
