import type { Request } from 'express'

/** One alternative of an Accept header; `type` of multipart/related is what its parts shall be. */
export interface Accepted {
  readonly multipart: boolean
  /** Media type of the document or of the parts, lower case, `*` `/` `*` for anything. */
  readonly type: string
  /** '' when the asker leaves it to us, `*` for as stored (PS3.18 8.7.3.5.2). */
  readonly transferSyntax: string
  readonly quality: number
}

/** Accept headers of DICOMweb clients, quoted parameters included; an absent one accepts everything (PS3.18 8.4, RFC 9110 12.5.1). */
export function parseAccept(header: string | undefined): Accepted[] {
  if (header === undefined || header.trim() === '') return [anything]
  const accepted = splitQuoted(header, ',').flatMap((range) => {
    const [media = '', ...rest] = splitQuoted(range, ';').map((part) => part.trim())
    const parameters = new Map(rest.map((part) => parameterOf(part)))
    const type = media.toLowerCase()
    const multipart = type === 'multipart/related'
    const quality = Number(parameters.get('q') ?? '1')
    if (type === '' || !(quality > 0)) return []
    return [
      {
        multipart,
        type: multipart ? (parameters.get('type') ?? '*/*').toLowerCase() : type,
        transferSyntax: parameters.get('transfer-syntax') ?? '',
        quality,
      },
    ]
  })
  return accepted.sort((a, b) => b.quality - a.quality)
}

/**
 * What the asker takes, best first: the `accept` of the query before the header, because who can set only one of them (a
 * link, a viewer whose every request carries the same header) sets the query (PS3.18 8.3.3.1, 8.7.8).
 */
export function acceptedBy(request: Pick<Request, 'get' | 'query'>): Accepted[] {
  const inQuery = request.query['accept']
  const header = request.get('accept')
  if (typeof inQuery !== 'string' || inQuery.trim() === '') return parseAccept(header)
  // An unescaped + of application/dicom+json arrives as a space.
  const named = parseAccept(inQuery.replaceAll(/dicom (json|xml)/g, 'dicom+$1'))
  return header === undefined ? named : [...named, ...parseAccept(header)]
}

const anything: Accepted = { multipart: false, type: '*/*', transferSyntax: '', quality: 1 }

function splitQuoted(text: string, separator: string): string[] {
  const parts: string[] = []
  let part = ''
  let quoted = false
  for (const character of text) {
    if (character === '"') quoted = !quoted
    if (character === separator && !quoted) {
      parts.push(part)
      part = ''
    } else part += character
  }
  return [...parts, part]
}

function parameterOf(part: string): readonly [string, string] {
  const equals = part.indexOf('=')
  if (equals < 0) return [part.toLowerCase(), '']
  return [
    part.slice(0, equals).trim().toLowerCase(),
    part
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1'),
  ]
}

/** Whether `range` (`image/*`, `*` `/` `*`, `image/jpeg`) covers `type`. */
export function covers(range: string, type: string): boolean {
  if (range === '*/*' || range === type) return true
  return range.endsWith('/*') && type.startsWith(range.slice(0, -1))
}
