import { TextDecoder } from 'node:util'
import type { KeptNormalisationRule, NormalisationAction } from 'specs'
import { characterSet, cleanText } from '../../dicom/character-set.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import { isText, type Header } from '../../dicom/header-reading.ts'
import { conform } from './conform.ts'

/** What rules make of a header: new values by tag, and how its texts are to be read. Nothing of it where nothing differs. */
export interface Normalised {
  readonly values: ReadonlyMap<number, string>
  readonly readAs?: string
  /** Names of the rules that changed something. */
  readonly by: readonly string[]
}

type Of<K extends NormalisationAction['kind']> = Extract<NormalisationAction, { kind: K }>

/** Rules that speak of this sender and kind of images. `*` stands for any part of a name. */
export function rulesFor(rules: readonly KeptNormalisationRule[], source: string, modality: string): KeptNormalisationRule[] {
  return rules.filter((rule) => rule.enabled && isNamed(rule.source, source) && (rule.modality === '' || rule.modality.toUpperCase() === modality.toUpperCase()))
}

function isNamed(pattern: string, name: string): boolean {
  if (pattern === '') return true
  const parts = pattern.toUpperCase().split('*')
  const upper = name.toUpperCase()
  const [first = '', last = ''] = [parts[0], parts.at(-1)]
  if (parts.length === 1) return upper === first
  if (!upper.startsWith(first) || !upper.endsWith(last) || upper.length < first.length + last.length) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = upper.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= upper.length - last.length
}

/** Applies rules one after the other; each sees what those before it made. */
export function normalise(header: Header, rules: readonly KeptNormalisationRule[]): Normalised | undefined {
  const values = new Map<number, string>()
  const by: string[] = []
  let readAs: string | undefined
  for (const { name, actions } of rules) {
    const before = `${JSON.stringify([...values])} ${readAs}`
    for (const action of actions) {
      if (action.kind === 'character-set') readAs ??= readingOf(header, action)
      else apply(action, header, values, readAs)
    }
    for (const [tag, text] of values) if (header.text(tag) === text && readAs === undefined) values.delete(tag)
    if (before !== `${JSON.stringify([...values])} ${readAs}`) by.push(name)
  }
  return by.length === 0 ? undefined : { values, by, ...(readAs !== undefined && { readAs }) }
}

function apply(action: Exclude<NormalisationAction, Of<'character-set'>>, header: Header, values: Map<number, string>, readAs: string | undefined): void {
  const set = characterSet(readAs ?? header.declared)
  const sent = (tag: number): string => {
    const element = header.elements.get(tag)
    return readAs !== undefined && element && isText(tag, element.vr) ? cleanText(set.decode(element.bytes)) : header.text(tag)
  }
  const current = (tag: number): string => values.get(tag) ?? sent(tag)
  const put = (tag: number, text: string): void => {
    if (text !== current(tag)) values.set(tag, text)
  }
  if (action.kind === 'conform') for (const { tag, vr } of header.elements.values()) put(tag, conform(tag, vr, current(tag)))
  else if (action.kind === 'patient-id') put(PATIENT_ID, patientId(action, current(PATIENT_ID)))
  else fill(action, current, put)
}

const PATIENT_ID = 0x00100020

/** A number that is nothing but its prefix stays: no patient is called so. */
function patientId({ upperCase, leadingZeros, padTo, removePrefix, addPrefix }: Of<'patient-id'>, sent: string): string {
  if (sent === '') return sent
  let id = sent.trim().replaceAll(/\s+/g, '') // prettier-ignore
  if (upperCase) id = id.toUpperCase()
  if (removePrefix !== '' && id.toUpperCase().startsWith(removePrefix.toUpperCase()) && id.length > removePrefix.length) id = id.slice(removePrefix.length)
  if (leadingZeros === 'remove') id = id.replace(/^0+(?=.)/, '')
  if (leadingZeros === 'pad') id = id.padStart(padTo, '0')
  return (addPrefix !== '' && !id.startsWith(addPrefix) ? addPrefix + id : id).slice(0, 64)
}

function fill({ attribute, overwrite, when, otherwise }: Of<'fill'>, current: (tag: number) => string, put: (tag: number, text: string) => void): void {
  const tag = tagOf(attribute) ?? 0
  if (current(tag) !== '' && !overwrite) return
  const found = when.find(({ source, contains }) => current(tagOf(source) ?? 0).toUpperCase().includes(contains.toUpperCase())) // prettier-ignore
  const value = found?.value ?? otherwise
  if (value !== '') put(tag, value)
}

const latin = /^(?:|ISO[ _-]?(?:2022[ _-]?)?IR[ _-]?(?:6|100))$/i

/** How texts are to be read that came as no or as Latin text: strictly so, and only where that gives Chinese characters. */
function readingOf({ declared, foreign }: Header, { readAs }: Of<'character-set'>): string | undefined {
  if (foreign.length === 0 || !declared.split('\\').every((term) => latin.test(term.trim()))) return undefined
  const candidates = readAs === 'auto' ? (['UTF-8', 'GB18030'] as const) : [readAs]
  return candidates.find((name) => isChinese(foreign, name))
}

function isChinese(texts: readonly Uint8Array[], encoding: 'UTF-8' | 'GB18030'): boolean {
  const decoder = new TextDecoder(encoding.toLowerCase(), { fatal: true })
  try {
    const decoded = texts.map((bytes) => decoder.decode(bytes))
    return decoded.some((text) => /\p{Script=Han}/u.test(text))
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}
