import type { Archive } from '../archive/archive.ts'
import type { QidoMatching } from './qido-query.ts'
import type { StudySource, Viewer } from './study-source.ts'

/** What of a search is asked for at a time. */
export type Page = QidoMatching & { readonly limit: number; readonly offset: number }

interface Search<R> {
  readonly source: Pick<StudySource, 'permitted' | 'allPermitted'>
  readonly user: Viewer
  readonly archive: Archive
  readonly matching: QidoMatching
  readonly ask: (page: Page) => Promise<R[]>
}

/** Read ahead at a time: what is needed at first, as most people may see most; more each time, because whoever sees little would ask a thousand times. */
const LARGEST = 5_000
/** Whoever may see no more studies than this is answered from their names instead. */
const FEW = 2_000

/**
 * The first `needed` rows of a search that lie in studies the user may list. The archive knows nothing of rights (it has a database
 * of its own, FED-33), the register of exams does: rows are read ahead and the register is asked which of their studies stay.
 */
export async function permittedRows<R extends { readonly studyInstanceUid: string }>(search: Search<R>, needed: number): Promise<R[]> {
  const { source, user, archive, matching, ask } = search
  const rows: R[] = []
  let size = Math.max(1, Math.min(needed, LARGEST))
  for (let offset = 0; rows.length < needed; ) {
    const page = await ask({ ...matching, limit: size, offset })
    rows.push(...(await permittedOf(search, page)))
    if (page.length < size || rows.length >= needed) break
    if (offset === 0 && matching.match['StudyInstanceUID'] === undefined) {
      const few = await source.allPermitted(user, archive, FEW)
      if (few?.length === 0) return []
      if (few) return (await ask({ ...matching, match: { ...matching.match, StudyInstanceUID: few.join('\\') }, limit: needed, offset: 0 })).slice(0, needed)
    }
    offset += size
    size = Math.min(size * 2, LARGEST)
  }
  return rows.slice(0, needed)
}

async function permittedOf<R extends { readonly studyInstanceUid: string }>({ source, user, archive }: Search<R>, rows: readonly R[]): Promise<R[]> {
  const studies = [...new Set(rows.map(({ studyInstanceUid }) => studyInstanceUid))]
  if (studies.length === 0) return []
  const permitted = await source.permitted(user, archive, studies)
  return rows.filter(({ studyInstanceUid }) => permitted.has(studyInstanceUid))
}
