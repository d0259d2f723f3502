import { join } from 'node:path'
import type { HttpFace, Outbound, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { studiesOfOpenConsults } from '../consult/store.ts'
import type { Retention } from '../retention/retention.ts'
import { StudyDeletion } from '../storage/deletion.ts'
import { StorageDesk } from '../storage/desk.ts'
import { addStorageRoutes } from '../storage/routes.ts'
import type { Ground } from './ground.ts'

export interface StorageParts {
  readonly face: HttpFace
  readonly access: AccessControl
  readonly audit: Trail
  readonly outbound: Outbound
  readonly retention: Retention
  readonly announce: (event: LiveEvent) => void
}

/** Where images lie: stores and rules of both archives, and the images that are deleted from the own one. */
export async function openStorage(ground: Ground, { face, access, audit, outbound, retention, announce }: StorageParts): Promise<StorageDesk> {
  const { settings, db, log, vault, hospitalId, inHospital, regional } = ground
  const desk = await StorageDesk.open({
    db, log, audit, vault, outbound, hospitalId, inHospital, regional,
    configured: settings.archive.stores,
    roots: { 'in-hospital': join(settings.dataFolder, 'archive-in-hospital'), regional: join(settings.dataFolder, 'archive-regional') },
    minFreeBytes: settings.archive.minFreeBytes,
    pathTemplate: settings.archive.pathTemplate,
    cacheBytes: settings.transfer.regionalCacheBytes,
  }) // prettier-ignore
  const deletion = new StudyDeletion({
    db, audit, hospitalId,
    archive: inHospital,
    retentionOf: (examId) => retention.of(examId),
    studiesInUse: () => studiesOfOpenConsults(db),
    onExam: (examId) => announce({ type: 'exam', examId }),
  }) // prettier-ignore
  addStorageRoutes(face, { desk, deletion, access, audit, hospitalId })
  return desk
}
