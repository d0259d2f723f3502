import { randomUUID } from 'node:crypto'
import {
  GrantId,
  kindOfGrant,
  type EpochMs,
  type Grant,
  type HospitalId,
  type ProblemCode,
  type ProblemFacts,
  type StudyInstanceUid,
  type TaskId,
} from 'specs'
import type { Purpose } from './decide-access.ts'
import type { TaskView } from './task-view.ts'

/** What the owner's own table says of a grant: never issued, or issued and perhaps withdrawn. */
export type GrantStanding = { readonly issued: false } | { readonly issued: true; readonly withdrawnAt: EpochMs | null }

export interface GrantUse {
  readonly grant: Grant
  readonly genuine: boolean
  readonly owner: HospitalId
  readonly asker: HospitalId
  readonly study: StudyInstanceUid
  readonly purpose: Purpose
  /** For whom it is presented, as the grantee asserts. */
  readonly person?: string | undefined
  /** At a data centre: what the owner has told of it, else only its signature. */
  readonly standing: GrantStanding | undefined
  readonly tasks: readonly TaskView[]
  readonly now: EpochMs
}

type Refusal = { readonly allowed: false; readonly code: ProblemCode; readonly facts: ProblemFacts }
const refused = (code: ProblemCode, facts: ProblemFacts): Refusal => ({ allowed: false, code, facts })

/**
 * Whether a presented grant lets `asker` have `study`; the reason if not.
 *
 * Genuine, for this owner, this hospital, this study and this purpose, within its time, not withdrawn; and, where the
 * task's course is known here, not while another hospital holds the task.
 */
export function decideGrant(use: GrantUse): Refusal | undefined {
  const { grant, asker, study, now } = use
  const facts = { grantId: grant.grantId }
  if (!use.genuine || grant.owner !== use.owner) return refused('access/grant-invalid', facts)
  if (!grant.grantees.includes(asker) || !grant.studyInstanceUids.includes(study) || grant.purpose !== use.purpose)
    return refused('access/no-grant', facts)
  if (now < grant.notBefore || now >= grant.expires) return refused('access/grant-expired', { ...facts, expires: grant.expires })
  if (kindOfGrant(grant) !== 'task' && (grant.person === undefined || grant.person !== use.person)) return refused('access/assertion-needed', facts)
  if (use.standing?.issued === false) return refused('access/grant-invalid', facts)
  if (use.standing?.issued && use.standing.withdrawnAt !== null)
    return refused('access/grant-withdrawn', { ...facts, withdrawnAt: use.standing.withdrawnAt })
  const task = grant.taskId === undefined ? undefined : use.tasks.find((one) => one.taskId === grant.taskId)
  if (task === undefined) return undefined
  if (task.state === 'cancelled' || task.state === 'declined') return refused('access/grant-withdrawn', { ...facts, state: task.state })
  const { holder } = task
  // Only those who compete for the task lose it to its holder; a data centre named in the grant goes on keeping the images.
  if (holder !== null && holder.hospitalId !== asker && task.offeredTo.includes(asker)) {
    return refused('access/no-grant', { ...facts, taskId: task.taskId, heldBy: holder.hospitalId, since: holder.since })
  }
  return undefined
}

/** Clocks of two hospitals differ; a grant made here must not be "not yet valid" there. */
const CLOCK_SKEW_MS = 5 * 60_000
const DAY_MS = 24 * 3_600_000

export interface GrantWish {
  readonly owner: HospitalId
  readonly grantees: readonly HospitalId[]
  readonly studyInstanceUids: readonly StudyInstanceUid[]
  readonly taskId: TaskId
  /** Days until it ends by itself (default 30). */
  readonly validDays: number
  readonly now: EpochMs
}

/** The unsigned grant of a consultation. */
export function consultationGrant(wish: GrantWish): Grant {
  return {
    grantId: GrantId.parse(randomUUID()),
    owner: wish.owner,
    grantees: [...new Set(wish.grantees)],
    studyInstanceUids: [...wish.studyInstanceUids],
    purpose: 'consultation',
    taskId: wish.taskId,
    notBefore: wish.now - CLOCK_SKEW_MS,
    expires: wish.now + wish.validDays * DAY_MS,
  }
}
