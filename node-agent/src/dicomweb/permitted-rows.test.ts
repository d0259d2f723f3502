import { describe, expect, it } from 'vitest'
import type { Archive } from '../archive/archive.ts'
import type { Viewer } from './study-source.ts'
import { permittedRows } from './permitted-rows.ts'

const studies = Array.from({ length: 9_000 }, (_value, index) => ({ studyInstanceUid: `1.${index}` }))

function search(mayList: (study: number) => boolean) {
  const permitted = new Set(studies.map(({ studyInstanceUid }) => studyInstanceUid).filter((_uid, index) => mayList(index)))
  const asked: number[] = []
  return {
    asked,
    rows: (needed: number) =>
      permittedRows(
        {
          source: {
            permitted: async (_user, _archive, uids) => new Set(uids.filter((uid) => permitted.has(uid))),
            allPermitted: async (_user, _archive, most) => (permitted.size > most ? undefined : [...permitted]),
          },
          user: {} as Viewer,
          archive: {} as Archive,
          matching: { match: {}, regionId: undefined },
          ask: async ({ match, limit, offset }) => {
            asked.push(limit)
            const named = match['StudyInstanceUID']?.split('\\')
            return (named ? studies.filter(({ studyInstanceUid }) => named.includes(studyInstanceUid)) : studies).slice(offset, offset + limit)
          },
        },
        needed,
      ),
  }
}
const uids = (rows: readonly { studyInstanceUid: string }[]) => rows.map(({ studyInstanceUid }) => Number(studyInstanceUid.slice(2)))

describe('searching an archive of which somebody sees a part', () => {
  it('fills a page in the order of the archive, with nothing else', async () => {
    // SEC-03
    expect(uids(await search((study) => study % 3 === 0).rows(100))).toEqual(Array.from({ length: 100 }, (_value, index) => index * 3))
    expect(uids(await search(() => true).rows(50))).toEqual(Array.from({ length: 50 }, (_value, index) => index))
    expect(await search(() => false).rows(50)).toEqual([])
  })
  it('asks the archive twice where somebody sees a handful of thousands', async () => {
    const few = search((study) => study === 8_500 || study === 12)
    expect([uids(await few.rows(50)), few.asked.length]).toEqual([[12, 8_500], 2])
  })
  it('reads to the end where there are many, but late', async () => {
    const late = search((study) => study >= 6_000)
    expect(uids(await late.rows(60))).toEqual(Array.from({ length: 60 }, (_value, index) => 6_000 + index))
  })
})
