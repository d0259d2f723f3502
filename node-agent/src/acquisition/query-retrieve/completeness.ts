/** What the source says that it holds of a study: each instance with its series, or at least their number (ARC-04). */
export type Proof =
  | { readonly kind: 'instances'; readonly series: ReadonlyMap<string, readonly ListedInstance[]> }
  | { readonly kind: 'count'; readonly instances: number }
  | { readonly kind: 'none' }

export interface ListedInstance {
  readonly sopInstanceUid: string
  readonly sopClassUid: string
}

export interface Lack {
  readonly expected: number
  /** Of what is expected, how much is here. */
  readonly held: number
  /** Named where the source names them. */
  readonly missing: readonly string[]
  readonly isComplete: boolean
}

/** @param held SOP Instance UIDs of the study in our archive, perhaps more than the source has. */
export function lackOf(proof: Proof, held: ReadonlySet<string>): Lack {
  if (proof.kind === 'none') return { expected: 0, held: held.size, missing: [], isComplete: false }
  if (proof.kind === 'count') return { expected: proof.instances, held: Math.min(held.size, proof.instances), missing: [], isComplete: held.size >= proof.instances }
  const listed = [...proof.series.values()].flat().map(({ sopInstanceUid }) => sopInstanceUid)
  const missing = listed.filter((uid) => !held.has(uid))
  return { expected: listed.length, held: listed.length - missing.length, missing, isComplete: missing.length === 0 }
}

/** One retrieval: the whole study, whole series, or single instances of a series. */
export type Want =
  | { readonly level: 'STUDY' }
  | { readonly level: 'SERIES'; readonly seriesInstanceUid: string }
  | { readonly level: 'IMAGE'; readonly seriesInstanceUid: string; readonly sopInstanceUids: readonly string[] }

/** UIDs in one identifier: a list of 64-character UIDs stays well below what old archives read. */
const UIDS_AT_ONCE = 50

/** The least that brings what is missing, so that nothing is fetched twice where the source tells what it has. */
export function wantsOf(proof: Proof, held: ReadonlySet<string>): Want[] {
  if (proof.kind !== 'instances') return [{ level: 'STUDY' }]
  const lacking = [...proof.series].map(([seriesInstanceUid, listed]) => ({ seriesInstanceUid, listed, missing: listed.filter(({ sopInstanceUid }) => !held.has(sopInstanceUid)) }))
  if (lacking.every(({ listed, missing }) => listed.length === missing.length)) return [{ level: 'STUDY' }]
  return lacking.flatMap(({ seriesInstanceUid, listed, missing }): Want[] => {
    if (missing.length === 0) return []
    if (missing.length === listed.length) return [{ level: 'SERIES', seriesInstanceUid }]
    const uids = missing.map(({ sopInstanceUid }) => sopInstanceUid)
    return Array.from({ length: Math.ceil(uids.length / UIDS_AT_ONCE) }, (_, n) => ({ level: 'IMAGE', seriesInstanceUid, sopInstanceUids: uids.slice(n * UIDS_AT_ONCE, (n + 1) * UIDS_AT_ONCE) }))
  })
}
