import { isProblem, type RegionId } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { archiveQuery } from '../dimse/archive-query.ts'
import { archiveSink } from '../dimse/archive-sink.ts'
import type { QuerySource, StorageSink } from '../dimse/server.ts'
import type { AccessControl } from './access-control.ts'

export interface DicomServicesParts {
  readonly access: AccessControl
  readonly inHospital: Archive
  readonly regional: Archive
  /** Whether this AE title is registered and allowed, now. */
  readonly isAllowed: (aeTitle: string) => Promise<boolean>
  /** The region that a registered AE sends for, where it has one of its own (FED-20). */
  readonly regionOf: (aeTitle: string) => Promise<RegionId | undefined>
}

/** C-STORE goes into the in-hospital archive, from nodes that may store. */
export function storageFor({ access, inHospital, isAllowed, regionOf }: DicomServicesParts): StorageSink {
  const sink = archiveSink(inHospital, regionOf)
  return {
    async begin(object) {
      const { callingAeTitle } = object
      await access.admitDicomNode(callingAeTitle, await isAllowed(callingAeTitle), 'store', {
        owner: access.hospitalId,
        kept: 'in-hospital',
      })
      return sink.begin(object)
    },
  }
}

/** C-FIND over the archives that the asking node may see: our own, and at a data centre the region's (FED-21). */
export function queryFor({ access, inHospital, regional, isAllowed }: DicomServicesParts): QuerySource {
  const sources = [inHospital, regional].map((archive) => ({ archive, query: archiveQuery(archive) }))
  return {
    isMatched: (keyword) => sources.some(({ query }) => query.isMatched(keyword)),
    async *find(query, signal) {
      const allowed = await isAllowed(query.callingAeTitle)
      for (const { archive, query: source } of sources) {
        // Neither archive says more of its studies here than that they exist, so the question is asked of each as a whole.
        try {
          await access.admitDicomNode(query.callingAeTitle, allowed, 'list', { owner: access.hospitalId, kept: archive.name })
        } catch (error) {
          if (isProblem(error) && archive.name === 'regional') continue
          throw error
        }
        yield* source.find(query, signal)
      }
    },
  }
}
