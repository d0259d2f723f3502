import type { HospitalId, RegionId } from 'specs'
import type { Archive, ToldInstance } from '../archive/archive.ts'
import { archiveSink } from '../dimse/archive-sink.ts'
import type { OfferedObject, StorageSink } from '../dimse/server.ts'
import type { AccessControl } from './access-control.ts'
import type { DeviceRights } from './policy/subject.ts'
import type { ExamRegister } from './register-facts.ts'

/** Where a device, or the receiving node that it called, stands. */
export type DevicePlace = { readonly campus: string; readonly department: string; readonly area: string }

export interface DeviceStorageParts {
  readonly access: AccessControl
  readonly inHospital: Archive
  readonly regional: Archive
  readonly register: ExamRegister
  /** What this AE title is registered for, now; undefined: it is not. */
  readonly rightsOf: (aeTitle: string) => Promise<DeviceRights | undefined>
  /** The region that a registered AE sends for, where it has one of its own (FED-20). */
  readonly regionOf: (aeTitle: string) => Promise<RegionId | undefined>
  /** Of the registration; where images belong that nobody registered. */
  readonly placeOf: (aeTitle: string) => Promise<DevicePlace | undefined>
  /** 接收节点: the hospital in whose name it receives, if not ours, and its place. */
  readonly receiving: (aeTitle: string) => { readonly hospitalId: HospitalId | null; readonly place: DevicePlace } | undefined
}

/**
 * C-STORE, from nodes that may store: into the in-hospital archive, or, sent to the receiving node of another hospital, into the regional
 * one in that hospital's name (FED-19). A device whose scope is limited stores only what lies within it: the exam's place where it is
 * registered, otherwise its own.
 */
export function storageFor(parts: DeviceStorageParts): StorageSink {
  const { access, inHospital, regional, rightsOf, regionOf, receiving } = parts
  const ownerOf = ({ terms }: OfferedObject) => (terms?.receivingNode === undefined ? undefined : (receiving(terms.receivingNode)?.hospitalId ?? undefined))
  return {
    async begin(object) {
      const { callingAeTitle } = object
      const device = await rightsOf(callingAeTitle)
      await access.admitDicomNode(callingAeTitle, device, 'store', { owner: access.hospitalId, kept: 'in-hospital' })
      const owner = ownerOf(object)
      const isForeign = owner !== undefined && owner !== access.hospitalId
      const isNarrow = device !== undefined && !isForeign && isLimited(device)
      const admit = isNarrow ? (told: ToldInstance) => admitWithin(parts, object, device, told) : undefined
      return archiveSink(isForeign ? regional : inHospital, regionOf, () => ({ owner: isForeign ? owner : undefined, admit })).begin(object)
    },
  }
}

const isLimited = (device: DeviceRights): boolean =>
  !device.some(({ permissions, scope }) => permissions.includes('store') && Object.values(scope).every((values) => values === undefined))

/** @throws {Problem} access/out-of-scope (0x0124), access/… */
async function admitWithin({ access, register, placeOf, receiving }: DeviceStorageParts, object: OfferedObject, device: DeviceRights, { studyInstanceUid, modality }: ToldInstance): Promise<void> {
  const { callingAeTitle, terms } = object
  const asked = { owner: access.hospitalId, study: studyInstanceUid, kept: 'in-hospital' } as const
  const registered = await register.factsOf({ study: studyInstanceUid })
  const place = (terms?.receivingNode !== undefined ? receiving(terms.receivingNode)?.place : undefined) ?? (await placeOf(callingAeTitle)) ?? { campus: '', department: '', area: '' }
  const facts = registered ?? { ...place, owner: access.hospitalId, examId: '', patientId: '', modality, label: 'ordinary' as const, requestingDepartment: '', requestingPhysician: '' }
  await access.admitDicomNode(callingAeTitle, device, 'store', { ...asked, facts })
}
