import { decodeIdentifier } from './identifier.ts'
import { decideLevel, mismatch, uniqueKeys } from './c-find.ts'
import { type InstanceToSend } from './scu.ts'
import { type Answer, type Query, type QueryLevel, type SmallRequest } from './services.ts'

/** An instance on its way to whoever asked for it. */
export interface RetrievedInstance extends InstanceToSend {
  readonly studyInstanceUid: string
}

/** Where C-MOVE and C-GET find what they send. */
export interface RetrieveSource {
  /**
   * The instances that are meant and that the caller may have, series by series; nothing where nothing matches.
   * @throws {Problem} when the caller may retrieve nothing at all (access/…), or the archive cannot tell.
   */
  instancesOf(query: Query, signal: AbortSignal): Promise<readonly RetrievedInstance[]>
}

/** What a C-MOVE or C-GET names, or the answer that refuses it. @throws {Problem} archive/unreadable */
export function readRetrieval(request: SmallRequest): { query: Query } | { refused: Answer } {
  const { dataset, transferSyntaxUid, sopClassUid, extended, caller } = request
  if (dataset === undefined) return { refused: mismatch('no identifier', 'QueryRetrieveLevel') }
  const decided = decideRetrieval(decodeIdentifier(dataset, transferSyntaxUid).keys, sopClassUid, extended)
  return 'refused' in decided ? decided : { query: { ...decided, ...caller } }
}

/**
 * The level of a retrieval and its unique keys (PS3.4 C.4.2.1.4, C.4.2.2.1): one object at each level above, one or more at the level
 * itself; other keys do not select and are passed over. With relational retrieval only the level's own key is needed.
 */
export function decideRetrieval(
  keys: Readonly<Record<string, string>>,
  sopClassUid: string,
  { relational = false } = {},
): { level: QueryLevel; keys: Readonly<Record<string, string>> } | { refused: Answer } {
  const decided = decideLevel(keys, sopClassUid, { relational })
  if ('refused' in decided) return decided
  const own = uniqueKeys[decided.level]
  const value = keys[own] ?? ''
  if (value === '' || /[*?]/.test(value) || (decided.level === 'PATIENT' && value.includes('\\')))
    return { refused: mismatch(`${own} must name what to retrieve`, own) }
  const named = Object.values(uniqueKeys).flatMap((keyword) => {
    const text = keys[keyword] ?? ''
    return text === '' || isBelow(keyword, own) ? [] : [[keyword, text]]
  })
  return { level: decided.level, keys: Object.fromEntries(named) }
}

function isBelow(keyword: string, own: string): boolean {
  const order: readonly string[] = Object.values(uniqueKeys)
  return order.indexOf(keyword) > order.indexOf(own)
}
