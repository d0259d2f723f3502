import { isProblem, StudyInstanceUid, type RegionId } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { archiveQuery } from '../dimse/archive-query.ts'
import { archiveRetrieve } from '../dimse/archive-retrieve.ts'
import type { RetrieveSource } from '../dimse/retrieval.ts'
import type { QuerySource } from '../dimse/server.ts'
import type { Transcode } from '../dimse/stored-instance.ts'
import type { AccessControl, AskedExam } from './access-control.ts'
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

/**
 * C-MOVE and C-GET out of the same archives (FED-25): the studies that the caller may view, each of which goes into the audit trail; at a
 * data centre the region's too. Studies that it may not view are left out, as if they were not there.
 */
export function retrieveFor({ access, inHospital, regional, register, rightsOf }: DicomServicesParts, transcode: Transcode): RetrieveSource {
  const isAdmitted = async (aeTitle: string, device: DeviceRights | undefined, exam: AskedExam) => {
    try {
      await access.admitDicomNode(aeTitle, device, 'view', exam)
      return true
    } catch (error) {
      if (isProblem(error)) return false // noted by the access control
      throw error
    }
  }
  return {
    async instancesOf(query, signal) {
      const { callingAeTitle } = query
      const device = await rightsOf(callingAeTitle)
      const mayRetrieve = device?.some(({ permissions }) => permissions.includes('retrieve'))
      if (!device || !mayRetrieve) await access.admitDicomNode(callingAeTitle, device, 'view', { owner: access.hospitalId, kept: 'in-hospital' })
      const admitted = async (studies: readonly string[], examOf: (study: StudyInstanceUid) => Promise<AskedExam>) => {
        const given = new Set<string>()
        for (const study of studies) if (await isAdmitted(callingAeTitle, device, await examOf(StudyInstanceUid.parse(study)))) given.add(study)
        return given
      }
      const ours = archiveRetrieve(inHospital, {
        transcode,
        permitted: async (studies) => {
          // Asked of the register first, which makes it take in images that came a moment ago.
          if (device) await register.permitted(studies, access.conditionForDevice(callingAeTitle, device, 'view'))
          return admitted(studies, async (study) => ({ owner: access.hospitalId, study, kept: 'in-hospital' }))
        },
      })
      const theirs = archiveRetrieve(regional, {
        transcode,
        permitted: (studies) => admitted(studies, async (study) => ({ owner: (await regional.study(study))?.hospitalId ?? access.hospitalId, study, kept: 'regional' })),
      })
      return [...(await ours.instancesOf(query, signal)), ...(await theirs.instancesOf(query, signal))]
    },
  }
}
