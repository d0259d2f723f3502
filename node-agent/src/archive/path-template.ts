import type { IndexedValues } from './attributes.ts'
import { ENCRYPTED } from './encryption/file-form.ts'

export const defaultPathTemplate = '{hospital}/{year}/{month}/{day}/{study}/{series}/{instance}.dcm'

const tokens: Readonly<Record<string, (values: IndexedValues, hospitalId: string) => string>> = {
  hospital: (_values, hospitalId) => hospitalId,
  // Modality is the sender's text: only what can be no path passes.
  modality: (values) => (values.modality ?? '').replaceAll(/[^A-Z0-9_]/gi, '').slice(0, 16) || 'NONE',
  year: (values) => (values.studyDate ?? '').slice(0, 4) || 'undated',
  month: (values) => (values.studyDate ?? '').slice(4, 6) || '00',
  day: (values) => (values.studyDate ?? '').slice(6, 8) || '00',
  study: (values) => values.studyInstanceUid ?? '',
  series: (values) => values.seriesInstanceUid ?? '',
  instance: (values) => values.sopInstanceUid ?? '',
}

/**
 * Where files lie below the archive's root (ARC-07). UIDs have been checked to be digits and dots without empty components.
 * @throws {Error} for a template that could give two instances one path, or leave the root: a mistake in the configuration.
 */
export function parsePathTemplate(template: string): (values: IndexedValues, hospitalId: string) => string {
  const unknown = [...template.matchAll(/\{([^}]*)\}/g)].map((match) => match[1] ?? '').filter((name) => !Object.hasOwn(tokens, name))
  if (unknown.length > 0)
    throw new Error(`path template names unknown tokens: ${unknown.join(', ')}; known are ${Object.keys(tokens).join(', ')}`)
  if (!template.includes('{instance}')) throw new Error('path template must contain {instance}, or instances would overwrite each other')
  const reserved = /^(?:incoming|replaced|failed|metadata)(?:\/|$)/.test(template)
  if (reserved || template.startsWith('/') || template.split('/').some((part) => part === '..' || part === '.' || part === ''))
    throw new Error('path template must stay below the root and outside incoming, replaced, failed and metadata')
  if (template.endsWith(ENCRYPTED)) throw new Error(`path template must not end with ${ENCRYPTED}: encrypted files are told by it`)
  return (values, hospitalId) => template.replaceAll(/\{([^}]*)\}/g, (_all, name: string) => tokens[name]?.(values, hospitalId) ?? '')
}
