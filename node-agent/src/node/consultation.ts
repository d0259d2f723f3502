import type { Accounts, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import type { Assert } from '../assertion/assert.ts'
import { Consults } from '../consult/consults.ts'
import { makeKeyObject } from '../consult/key-images.ts'
import type { Region } from '../region/region.ts'
import { OwnKeys } from '../signing/own-keys.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import type { Ground } from './ground.ts'

export interface ConsultationParts {
  readonly announce: (event: LiveEvent) => void
  readonly accounts: Accounts
  readonly audit: Trail
  readonly region: Region
  readonly access: AccessControl
  readonly assert: Assert
  readonly assertions: AssertionDesk
  readonly transfers: TransferEngine
}

/** Consultations, and the doctors' own keys that sign their opinions; a key is locked when its owner's session or account ends. */
export async function openConsultation(ground: Ground, parts: ConsultationParts) {
  const { settings, db, log, vault, hospitalId, inHospital, regional } = ground
  const { announce, accounts, audit, region, access, assert, assertions, transfers } = parts
  const signing = new OwnKeys({
    db, log, region, vault, audit, hospitalId,
    settings: settings.signing,
    confirmPassword: (username, password, origin) => accounts.signIns.confirmPassword(username, password, origin),
  }) // prettier-ignore
  accounts.onChange(() => signing.endOfDisabled())
  accounts.onSessionEnd((sessionId) => signing.lock(sessionId))
  const consults = await Consults.open({
    signer: signing,
    db, log, region, access, hospitalId, inHospital, regional, transfers, announce, audit, assert, assertions,
    makeKeyObject: makeKeyObject({ archive: regional, organisation: () => region.nameOf(hospitalId) }),
    settings: settings.consult,
  }) // prettier-ignore
  return { signing, consults }
}
