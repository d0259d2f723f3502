import { isProblem, type RegionId } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { archiveQuery } from '../dimse/archive-query.ts'
import { archiveSink } from '../dimse/archive-sink.ts'
import type { QuerySource, StorageSink } from '../dimse/server.ts'
import type { AccessControl } from './access-control.ts'
import type { DeviceRights } from './policy/subject.ts'
import type { ExamRegister } from './register-facts.ts'

export interface DicomServicesParts {
  readonly access: AccessControl
  readonly inHospital: Archive
  readonly regional: Archive
  readonly register: ExamRegister
  /** What this AE title is registered for, now; undefined: it is not. */
  readonly rightsOf: (aeTitle: string) => Promise<DeviceRights | undefined>
  /** The region that a registered AE sends for, where it has one of its own (FED-20). */
  readonly regionOf: (aeTitle: string) => Promise<RegionId | undefined>
}

/** C-STORE goes into the in-hospital archive, from nodes that may store. */
export function storageFor({ access, inHospital, rightsOf, regionOf }: DicomServicesParts): StorageSink {
  const sink = archiveSink(inHospital, regionOf)
  return {
    async begin(object) {
      const { callingAeTitle } = object
      await access.admitDicomNode(callingAeTitle, await rightsOf(callingAeTitle), 'store', {
        owner: access.hospitalId,
        kept: 'in-hospital',
      })
      return sink.begin(object)
    },
  }
}

/**
 * C-FIND over the archives that the asking node may see: our own, exam by exam as its scope and the rules say, and at a data centre
 * the region's (FED-21).
 */
export function queryFor({ access, inHospital, regional, register, rightsOf }: DicomServicesParts): QuerySource {
  const isMatched = archiveQuery(inHospital).isMatched
  return {
    isMatched,
    async *find(query, signal) {
      const { callingAeTitle } = query
      const device = await rightsOf(callingAeTitle)
      await access.admitDicomNode(callingAeTitle, device, 'list', { owner: access.hospitalId, kept: 'in-hospital' }, { action: 'study.search', by: query.keys })
      const condition = device && access.conditionForDevice(callingAeTitle, device, 'list')
      if (condition) yield* archiveQuery(inHospital, (studies) => register.permitted(studies, condition)).find(query, signal)
      try {
        await access.admitDicomNode(callingAeTitle, device, 'list', { owner: access.hospitalId, kept: 'regional' })
      } catch (error) {
        if (isProblem(error)) return // no data centre
        throw error
      }
      yield* archiveQuery(regional).find(query, signal)
    },
  }
}
