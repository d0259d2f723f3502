import type { AuditTrail, Database, HttpFace, Log, Transaction } from 'service-kit'
import type { HospitalId, LiveEvent, StudyInstanceUid } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { TaskView } from '../access/task-view.ts'
import type { Archive } from '../archive/archive.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import type { Assert } from '../assertion/assert.ts'
import type { NodeConfig } from '../config.ts'
import { HeldExams } from '../cross-hospital/held-exams.ts'
import { addCrossHospitalRoutes } from '../cross-hospital/routes.ts'
import { Searches } from '../cross-hospital/searches.ts'
import { SharedExams } from '../cross-hospital/shared-exams.ts'
import type { Sealing } from '../patient/contact.ts'
import type { Region } from '../region/region.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import { addConsentRoutes } from './consent-routes.ts'
import { Consents } from './consents.ts'
import { Erasures } from './erasures.ts'
import { HeldGrants } from './held-grants.ts'
import { addGrantRoutes } from './routes.ts'
import { taskGrants } from './task-grants.ts'
import { Withdrawals } from './withdrawal.ts'

export interface SharingParts {
  readonly db: Database
  readonly log: Log
  readonly vault: Sealing
  readonly audit: AuditTrail
  readonly region: Region
  readonly access: AccessControl
  readonly assert: Assert
  readonly assertions: AssertionDesk
  readonly hospitalId: HospitalId
  readonly regional: Archive
  readonly transfers: TransferEngine
  readonly tasksOfStudy: (study: string) => Promise<readonly TaskView[]>
  readonly settings: NodeConfig['crossHospital']
  readonly announce: (event: LiveEvent) => void
  readonly face: HttpFace
}

export interface Sharing {
  readonly held: HeldExams
  /** In the transaction that destroys an exam of ours. @returns who is to remove copies. */
  erase(tx: Transaction, study: StudyInstanceUid, because: string): Promise<readonly HospitalId[]>
  start(): void
  stop(): Promise<void>
}

/** Joins what belongs to sharing exams between hospitals: both sides of a search, grants, their withdrawal, consents. */
export function joinSharing(parts: SharingParts): Sharing {
  const { db, log, audit, region, hospitalId, settings, announce, face } = parts
  const now = Date.now
  const line = region.line
  const withdrawals = new Withdrawals({ db, log, line, audit, hospitalId, announce, now })
  const consents = new Consents({ ...parts, line, withdrawals, now })
  const heldGrants = new HeldGrants({
    ...parts, line, now,
    taskGrants: () => taskGrants(db),
    announce: (event, person) => (person === undefined ? announce(event) : face.events.publish(event, (user) => user.id === person)),
  }) // prettier-ignore
  const erasures = new Erasures({ db, log, line, audit, hospitalId, now, removeCopy: (owner, study) => heldGrants.removeErased(owner, study) })
  const held = new HeldExams({ ...parts, now })
  const searches = new Searches({
    ...parts, consents, now,
    changed: ({ searchId, userId }) => face.events.publish({ type: 'cross-search', searchId }, (user) => user.id === userId),
  }) // prettier-ignore
  new SharedExams({ ...parts, consents, now })
  addCrossHospitalRoutes(face, {
    searches, held,
    members: () => (region.directory?.hospitals ?? []).filter(({ id, certificate, revoked }) => id !== hospitalId && certificate !== '' && !revoked).map(({ id, name }) => ({ id, name })),
  }) // prettier-ignore
  addConsentRoutes(face, consents)
  addGrantRoutes(face, {
    db, audit, withdrawals, hospitalId,
    nameOf: (id) => region.nameOf(id),
    isMember: (id) => region.directory?.hospitals.some((hospital) => hospital.id === id) ?? false,
    authorisationDays: settings.authorisationDays,
  }) // prettier-ignore
  const recheck = () => heldGrants.recheck().catch((error: unknown) => log.error({ err: error }, 'grants held here were not checked'))
  region.onConnected(() => {
    withdrawals.tell({ atOnce: true })
    erasures.tell({ atOnce: true })
    consents.tell()
    void recheck()
  })
  return {
    held,
    erase: (tx, study, because) => erasures.erase(tx, study, because),
    start() {
      withdrawals.tell()
      erasures.tell()
    },
    async stop() {
      await Promise.all([withdrawals.stop(), erasures.stop(), consents.stop(), heldGrants.stop()])
    },
  }
}
