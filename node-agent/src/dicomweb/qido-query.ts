import { Problem, RegionId } from 'specs'
import { keywordOf, tagOf } from '../dicom/dictionary.ts'

export interface QidoQuery {
  /** DICOM keyword → matching text. */
  readonly match: Readonly<Record<string, string>>
  /** Only what carries this region: a key of ours beside the standard's (FED-20). */
  readonly regionId: RegionId | undefined
  readonly limit: number | undefined
  readonly offset: number
  /** What the asker should know: fields that exist but are not matched, fuzzy matching. */
  readonly warnings: readonly string[]
}

const own = new Set([
  'regionid',
  'limit',
  'offset',
  'includefield',
  'fuzzymatching',
  'emptyvaluematching',
  'multiplevaluematching',
  'accept',
])

/**
 * Parameters of a QIDO-RS search (PS3.18 8.3.4), and `regionId`, which the standard does not know. Every indexed attribute is
 * always returned, so `includefield` is only checked.
 *
 * @param isMatched whether the index can match a keyword at the level asked for.
 * @throws {Problem} request/invalid for names that are no attribute and numbers that are none.
 */
export function parseQidoQuery(parameters: URLSearchParams, isMatched: (keyword: string) => boolean): QidoQuery {
  const match: Record<string, string> = {}
  const warnings: string[] = []
  for (const [name, text] of parameters) {
    if (own.has(name.toLowerCase())) continue
    const keyword = keywordFor(name)
    if (text.trim() === '') continue
    if (isMatched(keyword)) match[keyword] = text
    else warnings.push(`${keyword} is not matched`)
  }
  for (const text of parameters.getAll('includefield'))
    for (const name of text.split(',')) if (name !== '' && name.toLowerCase() !== 'all') keywordFor(name)
  if (parameters.get('fuzzymatching')?.toLowerCase() === 'true')
    warnings.push('fuzzymatching is not supported, literal matching has been performed')
  return {
    match,
    regionId: regionIn(parameters),
    limit: wholeNumber(parameters, 'limit'),
    offset: wholeNumber(parameters, 'offset') ?? 0,
    warnings,
  }
}

function regionIn(parameters: URLSearchParams): RegionId | undefined {
  const text = [...parameters].find(([name, value]) => name.toLowerCase() === 'regionid' && value !== '')?.[1]
  if (text === undefined) return undefined
  const regionId = RegionId.safeParse(text)
  if (!regionId.success)
    throw new Problem('request/invalid', { what: 'query', issues: [{ path: 'regionId', message: 'not a region identifier' }] })
  return regionId.data
}

/** A keyword, eight hex digits, or a path of them below a sequence; of a path the first sequence is named. */
function keywordFor(name: string): string {
  const tags = name.split('.').map((part) => tagOf(part))
  if (tags.some((tag) => tag === undefined))
    throw new Problem('request/invalid', { what: 'query', issues: [{ path: name.slice(0, 64), message: 'not a DICOM attribute' }] })
  const keywords = tags.map((tag) => keywordOf(tag ?? 0) ?? name)
  return keywords.join('.')
}

function wholeNumber(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name)
  if (text === null || text === '') return undefined
  if (!/^\d{1,9}$/.test(text))
    throw new Problem('request/invalid', { what: 'query', issues: [{ path: name, message: 'a whole number, not negative' }] })
  return Number(text)
}
