import { Problem, RegionId } from 'specs'
import { attributeByKeyword } from '../archive/attributes.ts'
import type { MatchingRules } from '../archive/matching.ts'
import { keywordOf, tagOf } from '../dicom/dictionary.ts'

/** What is asked for, in the words of the archive. */
export interface QidoMatching extends MatchingRules {
  /** DICOM keyword → matching text. */
  readonly match: Readonly<Record<string, string>>
  /** Only what carries this region: a key of ours beside the standard's (FED-20). */
  readonly regionId?: RegionId | undefined
}

export interface QidoQuery {
  readonly matching: QidoMatching
  readonly limit: number | undefined
  readonly offset: number
  /** Attributes that the index does not hold and that shall be answered: tags. `all`: whatever there is. */
  readonly include: { readonly all: boolean; readonly tags: readonly number[] }
  /** What the asker should know: fields that exist but are not matched. */
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

/** Values of these may be listed with commas by whoever says so; in free text a comma is a comma. */
const listed = new Set(['AE', 'AS', 'CS', 'IS', 'LO', 'SH', 'US'])

/**
 * Parameters of a QIDO-RS search (PS3.18 8.3.4), and `regionId`, which the standard does not know. Every indexed attribute is
 * always returned; `includefield` asks for others.
 *
 * @param isMatched whether the index can match a keyword at the level asked for.
 * @throws {Problem} request/invalid for names that are no attribute, numbers and flags that are none.
 */
export function parseQidoQuery(parameters: URLSearchParams, isMatched: (keyword: string) => boolean): QidoQuery {
  const match: Record<string, string> = {}
  const warnings: string[] = []
  const isListed = flag(parameters, 'multiplevaluematching')
  for (const [name, text] of parameters) {
    if (own.has(name.toLowerCase())) continue
    const keyword = keywordFor(name)
    if (text.trim() === '') continue
    if (isMatched(keyword)) match[keyword] = isListed && listed.has(attributeByKeyword(keyword)?.vr ?? 'CS') ? text.replaceAll(',', '\\') : text
    else warnings.push(`${keyword} is not matched`)
  }
  return {
    matching: {
      match,
      regionId: regionIn(parameters),
      fuzzy: flag(parameters, 'fuzzymatching'),
      emptyValues: flag(parameters, 'emptyvaluematching'),
      combinedDateTime: true,
    },
    limit: wholeNumber(parameters, 'limit'),
    offset: wholeNumber(parameters, 'offset') ?? 0,
    include: included(parameters),
    warnings,
  }
}

function included(parameters: URLSearchParams): QidoQuery['include'] {
  const names = parameters.getAll('includefield').flatMap((text) => text.split(',').map((name) => name.trim())).filter((name) => name !== '') // prettier-ignore
  const isAll = (name: string) => name.toLowerCase() === 'all'
  // Of a path into a sequence the whole sequence is answered.
  const keywords = names.filter((name) => !isAll(name)).map((name) => keywordFor(name).split('.')[0] ?? '')
  return { all: names.some(isAll), tags: keywords.flatMap((keyword) => (attributeByKeyword(keyword) || answeredAnyway.has(keyword) ? [] : [tagOf(keyword) ?? 0])) }
}

/** Counted or made for the answer (qido-answer.ts). */
const answeredAnyway = new Set(['InstanceAvailability', 'ModalitiesInStudy', 'SOPClassesInStudy', 'RetrieveURL', 'NumberOfStudyRelatedSeries', 'NumberOfStudyRelatedInstances', 'NumberOfSeriesRelatedInstances', 'AvailableTransferSyntaxUID'])

const invalid = (path: string, message: string) => new Problem('request/invalid', { what: 'query', issues: [{ path, message }] })

function regionIn(parameters: URLSearchParams): RegionId | undefined {
  const text = [...parameters].find(([name, value]) => name.toLowerCase() === 'regionid' && value !== '')?.[1]
  if (text === undefined) return undefined
  const regionId = RegionId.safeParse(text)
  if (!regionId.success) throw invalid('regionId', 'not a region identifier')
  return regionId.data
}

/** A keyword, eight hex digits, or a path of them below a sequence; of a path the first sequence is named. */
function keywordFor(name: string): string {
  const tags = name.split('.').map((part) => tagOf(part))
  if (tags.some((tag) => tag === undefined)) throw invalid(name.slice(0, 64), 'not a DICOM attribute')
  const keywords = tags.map((tag) => keywordOf(tag ?? 0) ?? name)
  return keywords.join('.')
}

function wholeNumber(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name)
  if (text === null || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) throw invalid(name, 'a whole number, not negative')
  return Number(text)
}

function flag(parameters: URLSearchParams, name: string): boolean {
  const text = parameters.get(name)?.toLowerCase() ?? ''
  if (text !== '' && text !== 'true' && text !== 'false') throw invalid(name, 'true or false')
  return text === 'true'
}
