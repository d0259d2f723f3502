import type { AuditTrail, HttpFace } from 'service-kit'
import { ArchiveNameText, IntegrityFinding, maskName, Problem, RecycledStudy, S3StoreDraft, SopInstanceUid, StorageMove, StorageMoveOrder, StoragePolicyChange, StorageState, StoreHealth, StoreId, StoreRow, StudyInstanceUid, StudyRestored, type HospitalId } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { StudyDeletion } from './deletion.ts'
import type { StorageDesk } from './desk.ts'

const Reason = z.string().trim().min(2, '请填写理由').max(500)
const archiveParams = z.object({ archive: ArchiveNameText })
const studyParams = z.object({ study: StudyInstanceUid })
const storeParams = z.object({ storeId: StoreId })
const watchers = ['system.monitor', 'system.configure'] as const
const LISTED = 200

export interface StorageRoutes {
  readonly desk: StorageDesk
  readonly deletion: StudyDeletion
  readonly access: AccessControl
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
}

/** 存储 (ARC-07 to ARC-09, ARC-20, ARC-22, ARC-24, AGT-12, AGT-14): stores, rules, what waits, checks and deleted studies. */
export function addStorageRoutes(face: HttpFace, { desk, deletion, access, audit, hospitalId }: StorageRoutes): void {
  face.check('stores', () => desk.look(), { critical: false })
  const own = (study: StudyInstanceUid) => ({ owner: hospitalId, study, kept: 'in-hospital' }) as const
  const noted = (action: 'study.move' | 'study.restore' | 'archive.check', id: string, facts: object) =>
    audit.record({ action, outcome: 'success', object: action === 'archive.check' ? { type: 'config', id } : { type: 'study', id, owner: hospitalId }, facts: { ...facts } })

  // stores
  face.route({ method: 'GET', path: '/api/storage/stores', summary: 'Stores, how they are and what they hold', allow: watchers, answer: z.array(StoreRow) }, () => desk.stores())
  face.route(
    { method: 'POST', path: '/api/storage/stores', summary: 'Set up a bucket, or change one; it is tried before it is saved', allow: ['system.configure'], body: S3StoreDraft },
    async ({ user, body }) => {
      await desk.saveBucket(user, body)
      return { status: 204 }
    },
  )
  face.route(
    { method: 'DELETE', path: '/api/storage/stores/:storeId', summary: 'Take away a bucket that holds nothing of ours', allow: ['system.configure'], params: storeParams, body: z.object({ reason: Reason }) },
    async ({ user, params, body }) => {
      await desk.dropBucket(user, params.storeId, body.reason)
      return { status: 204 }
    },
  )
  face.route(
    { method: 'POST', path: '/api/storage/stores/:storeId/check', summary: 'Write, read and remove a small object', allow: ['system.configure'], params: storeParams, answer: StoreHealth },
    ({ params }) => desk.tryStore(params.storeId),
  )

  // one archive
  face.route({ method: 'GET', path: '/api/storage/archives/:archive', summary: 'Rules, space, tiers, copies and checks of an archive', allow: watchers, params: archiveParams, answer: StorageState }, ({ params }) => desk.state(params.archive))
  face.route(
    { method: 'PUT', path: '/api/storage/archives/:archive/policy', summary: 'Change how an archive stores', allow: ['system.configure'], params: archiveParams, body: StoragePolicyChange, answer: StorageState },
    async ({ user, params, body }) => {
      await desk.changePolicy(user, params.archive, body.policy, body.reason)
      return desk.state(params.archive)
    },
  )
  face.route({ method: 'GET', path: '/api/storage/archives/:archive/moves', summary: 'Studies that wait to be copied, moved or called back', allow: watchers, params: archiveParams, answer: z.array(StorageMove) }, ({ params }) => desk.storageOf(params.archive).moves(LISTED))
  face.route(
    { method: 'POST', path: '/api/storage/archives/:archive/moves', summary: 'Move a study to a store now, call it back, or bring it home for good', allow: ['system.configure'], params: archiveParams, body: StorageMoveOrder },
    async ({ user, params, body: { studyInstanceUid, order, to } }) => {
      await desk.storageOf(params.archive).order(studyInstanceUid, order, to, user.name)
      await noted('study.move', studyInstanceUid, { order, to: to ?? 'local', archive: params.archive })
      return { status: 202 }
    },
  )
  face.route(
    { method: 'POST', path: '/api/storage/archives/:archive/check', summary: 'Begin to read every file again, or stop', allow: ['system.configure'], params: archiveParams, body: z.object({ order: z.enum(['begin', 'stop']) }) },
    async ({ params, body: { order } }) => {
      const { integrity } = desk.storageOf(params.archive)
      await (order === 'begin' ? integrity.begin() : integrity.cancel())
      await noted('archive.check', `storage/${params.archive}`, { order })
      return { status: 202 }
    },
  )
  face.route({ method: 'GET', path: '/api/storage/archives/:archive/findings', summary: 'Files that are missing or damaged', allow: watchers, params: archiveParams, answer: z.array(IntegrityFinding) }, ({ params }) => desk.storageOf(params.archive).integrity.findings(LISTED))
  face.route(
    { method: 'POST', path: '/api/storage/archives/:archive/findings/repair', summary: 'Restore one file from a sound copy', allow: ['system.configure'], params: archiveParams, body: z.object({ sopInstanceUid: SopInstanceUid, storeId: z.union([StoreId, z.literal('local')]) }), answer: z.object({ repaired: z.boolean() }) },
    async ({ params, body }) => ({ repaired: await desk.storageOf(params.archive).integrity.repair(body.sopInstanceUid, body.storeId) }),
  )
  face.route(
    { method: 'POST', path: '/api/storage/archives/:archive/studies/:study/restore', summary: 'Restore what is missing or damaged of a study from its copies', allow: ['system.configure'], params: archiveParams.extend(studyParams.shape), answer: StudyRestored },
    async ({ params: { archive, study } }) => {
      const result = await desk.storageOf(archive).restoreStudy(study)
      await noted('study.restore', study, { ...result, failed: result.failed.length, archive })
      return result
    },
  )

  // deleted studies
  face.route(
    { method: 'DELETE', path: '/api/studies/:study', summary: 'Delete the images of a study whose time is over; they can be restored for some days', allow: ['exam.delete'], params: studyParams, body: z.object({ reason: Reason }) },
    async ({ user, params: { study }, body }) => {
      await access.admitUser(user, 'delete', own(study))
      await deletion.delete(user, study, body.reason)
      return { status: 204 }
    },
  )
  face.route({ method: 'GET', path: '/api/storage/recycled', summary: 'Deleted studies that can still be restored', allow: ['exam.delete'], answer: z.array(RecycledStudy) }, async ({ user }) => {
    const rows = await desk.storageOf('in-hospital').recycled(LISTED)
    const mine = await Promise.all(rows.map(async (row) => ((await access.mayUser(user, 'delete', own(row.studyInstanceUid))) ? [{ ...row, patientName: maskName(row.patientName, 'L1') }] : [])))
    return mine.flat()
  })
  face.route(
    { method: 'POST', path: '/api/storage/recycled/:study/restore', summary: 'Take back a deletion', allow: ['exam.delete'], params: studyParams, body: z.object({ reason: Reason }) },
    async ({ user, params: { study }, body }) => {
      await access.admitUser(user, 'delete', own(study))
      await deletion.restore(study, body.reason)
      return { status: 204 }
    },
  )
  face.route(
    { method: 'DELETE', path: '/api/storage/recycled/:study', summary: 'Destroy a deleted study now, with every copy', allow: ['exam.delete'], params: studyParams, body: z.object({ reason: Reason }) },
    async ({ user, params: { study }, body }) => {
      await access.admitUser(user, 'delete', own(study))
      const storage = desk.storageOf('in-hospital')
      if (!(await storage.recycled(LISTED)).some(({ studyInstanceUid }) => studyInstanceUid === study)) throw new Problem('archive/not-recycled', { studyInstanceUid: study })
      await storage.destroy(study, body.reason)
      return { status: 204 }
    },
  )
}
