import type { AuditTrail } from 'service-kit'
import type { HospitalId, StudyInstanceUid } from 'specs'
import { AccessControl } from '../access/access-control.ts'
import { ImageExports } from '../access/image-export.ts'
import { PolicyBook } from '../access/policy/policy-book.ts'
import { ExamRegister } from '../access/register-facts.ts'
import { StudyAudience } from '../access/study-audience.ts'
import type { TaskView } from '../access/task-view.ts'
import { AccessEvents } from '../audit/access-events.ts'
import { taskViewOf } from '../consult/consult.ts'
import { consultsOfStudy } from '../consult/store.ts'
import type { ExamIntake } from '../exam/intake.ts'
import { heldForStudy, withdrawalOf } from '../grant/held-store.ts'
import type { Region } from '../region/region.ts'
import type { Ground } from './ground.ts'

export interface RightsParts {
  readonly audit: AuditTrail
  readonly region: Region
  readonly intake: ExamIntake
  readonly patientKeyOf: (study: StudyInstanceUid) => Promise<string | undefined>
}

export type NodeRights = Awaited<ReturnType<typeof openRights>>

/** The one place that decides access, and what it looks at: rules, the register, tasks, grants held here. */
export async function openRights(ground: Ground, { audit, region, intake, patientKeyOf }: RightsParts) {
  const { settings, db, log, hospitalId } = ground
  const policy = await PolicyBook.open({ db, log, relation: settings.access.relation })
  const register = new ExamRegister({ db, hospitalId, settle: () => intake.flush() })
  const tasksOfStudy = async (study: string): Promise<TaskView[]> =>
    Promise.all(
      (await consultsOfStudy(db, study)).map(async (consult) => {
        const { owner, grantId } = consult.facts.grant.grant
        const grantWithdrawnAt = owner === hospitalId ? undefined : await withdrawalOf(db, owner, grantId)
        return { ...taskViewOf(consult), ...(grantWithdrawnAt !== undefined && { grantWithdrawnAt }) }
      }),
    )
  const access = new AccessControl({
    db, log, hospitalId, policy, tasksOfStudy,
    factsOf: (exam) => register.factsOf(exam),
    kinds: () => region.hospital?.kinds ?? [],
    heldGrants: (study) => heldForStudy(db, study),
    withdrawalOf: (owner: HospitalId, grantId) => withdrawalOf(db, owner, grantId),
    events: new AccessEvents(audit, hospitalId, patientKeyOf),
  }) // prettier-ignore
  const audience = new StudyAudience({
    access,
    factsOf: (exam) => register.factsOf(exam),
    consultsOfStudy: (study) => consultsOfStudy(db, study),
    heldGrants: (study) => heldForStudy(db, study),
  })
  const exports = new ImageExports({ db, audit, settings: settings.access.export })
  return { policy, register, tasksOfStudy, access, audience, exports }
}
