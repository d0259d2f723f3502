import type { HttpFace, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { headerCoercion } from '../archive/coercion/coerce.ts'
import { addNormalisationRoutes } from '../archive/coercion/routes.ts'
import { NormalisationRules } from '../archive/coercion/rule-book.ts'
import { CampusKeeper } from '../matching/campus.ts'
import { Corrections } from '../matching/corrections.ts'
import { addMonitorRoutes } from '../matching/monitor-routes.ts'
import { addMatchingRoutes } from '../matching/routes.ts'
import type { TransferOwner } from '../transfer/owner.ts'
import type { Ground } from './ground.ts'

export interface MatchingParts {
  readonly face: HttpFace
  readonly access: AccessControl
  readonly audit: Trail
  readonly hospitalName: () => string
  readonly announce: (event: LiveEvent) => void
  readonly owner: TransferOwner
}

/** Whose images they are, and what their headers say: corrections, rules for what comes in, and the pages about them. */
export async function openMatching(ground: Ground, { face, access, audit, announce, owner, hospitalName }: MatchingParts): Promise<{ corrections: Corrections; campuses: CampusKeeper }> {
  const { db, log, hospitalId, inHospital: archive, coercing } = ground
  const rules = await NormalisationRules.open(db)
  const corrections = await Corrections.open({ db, archive, audit, hospitalId, log, announce, onRewritten: (study) => owner.contentChanged(study) })
  // From here on every instance that devices and people send passes here; nothing has come before: the ports open last.
  coercing.coerce = headerCoercion({ rules, corrections })
  coercing.changedContent = (source, modality) => rules.changedContent(source, modality)
  addMatchingRoutes(face, { db, archive, access, audit, hospitalId, corrections, announce })
  addMonitorRoutes(face, { db, archive, access, audit, trail: audit, hospitalId, hospitalName, listing: ground.settings.access.listing })
  addNormalisationRoutes(face, { db, archive, rules, audit })
  return { corrections, campuses: new CampusKeeper({ db, archive, log }) }
}
