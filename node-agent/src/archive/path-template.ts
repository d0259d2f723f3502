import type { IncomingSource } from './archive.ts'
import type { IndexedValues } from './attributes.ts'
import { ENCRYPTED } from './encryption/file-form.ts'
import { reservedFolders } from './folders.ts'

export const defaultPathTemplate = '{hospital}/{year}/{month}/{day}/{study}/{series}/{instance}.dcm'

/** Where a file lies below the archive's root. @param hospitalId whose study it is */
export type PathOf = (values: IndexedValues, hospitalId: string, source?: IncomingSource) => string

type Token = (values: IndexedValues, hospitalId: string, source: IncomingSource | undefined, received: string) => string

/** Senders' texts become folder names: only what can be no path passes. */
const word = (text: string | undefined): string => (text ?? '').replaceAll(/[^A-Z0-9_-]/gi, '').slice(0, 16) || 'NONE'

const tokens: Readonly<Record<string, Token>> = {
  hospital: (_values, hospitalId) => hospitalId,
  modality: (values) => word(values.modality),
  year: (values) => (values.studyDate ?? '').slice(0, 4) || 'undated',
  month: (values) => (values.studyDate ?? '').slice(4, 6) || '00',
  day: (values) => (values.studyDate ?? '').slice(6, 8) || '00',
  /** The day on which it arrived, Beijing time. */
  receivedYear: (_values, _hospitalId, _source, received) => received.slice(0, 4),
  receivedMonth: (_values, _hospitalId, _source, received) => received.slice(5, 7),
  receivedDay: (_values, _hospitalId, _source, received) => received.slice(8, 10),
  /** Who sent it, and at which of our receiving nodes it came (FED-19). */
  sender: (_values, _hospitalId, source) => word(source?.peer),
  node: (_values, _hospitalId, source) => word(source?.receivingNode),
  study: (values) => values.studyInstanceUid ?? '',
  series: (values) => values.seriesInstanceUid ?? '',
  instance: (values) => values.sopInstanceUid ?? '',
}

/** As tenders and other systems write them (AGT-14). */
const aliases: Readonly<Record<string, string>> = { yyyy: 'year', MM: 'month', dd: 'day', studyUID: 'study', seriesUID: 'series', instanceUID: 'instance', sopInstanceUID: 'instance' }
const tokenOf = (name: string): string => aliases[name] ?? name

/** What a rule may name; for pages. */
export const pathTokens: readonly string[] = [...Object.keys(tokens), ...Object.keys(aliases)]

/**
 * Where files lie below the archive's root (ARC-07, AGT-14). UIDs have been checked to be digits and dots without empty components. A rule that
 * ends with the study is the study's folder.
 * @throws {Error} for a template that could give two instances one path, or leave the root: a mistake of whoever wrote it.
 */
export function parsePathTemplate(written: string): PathOf {
  const named = [...written.matchAll(/\{([^}]*)\}/g)].map((match) => match[1] ?? '')
  const unknown = named.filter((name) => !Object.hasOwn(tokens, tokenOf(name)))
  if (unknown.length > 0) throw new Error(`path template names unknown tokens: ${unknown.join(', ')}; known are ${pathTokens.join(', ')}`)
  const template = completed(written.trim(), new Set(named.map(tokenOf)))
  if (!template.includes('{instance}') && !/\{(?:sopInstanceUID|instanceUID)\}/.test(template)) throw new Error('path template must contain {instance}, or instances would overwrite each other')
  const [first = ''] = template.split('/')
  if (reservedFolders.includes(first) || template.startsWith('/') || template.split('/').some((part) => part === '..' || part === '.' || part === '') || /[\\\0-\x1f]/.test(template))
    throw new Error(`path template must stay below the root and outside ${reservedFolders.join(', ')}`)
  if (template.endsWith(ENCRYPTED)) throw new Error(`path template must not end with ${ENCRYPTED}: encrypted files are told by it`)
  return (values, hospitalId, source) => {
    const received = template.includes('{received') ? new Date(Date.now() + 8 * 3_600_000).toISOString() : ''
    return template.replaceAll(/\{([^}]*)\}/g, (_all, name: string) => tokens[tokenOf(name)]?.(values, hospitalId, source, received) ?? '')
  }
}

function completed(template: string, named: ReadonlySet<string>): string {
  if (named.has('instance') || !named.has('study')) return template
  return `${template.replace(/\/$/, '')}${named.has('series') ? '' : '/{series}'}/{instance}.dcm`
}
