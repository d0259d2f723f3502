import { actionsOf, HospitalId, type AuditRecord, type CrossViewing } from 'specs'
import { isFromElsewhere } from './actor-elsewhere.ts'

const told: ReadonlySet<string> = new Set([...actionsOf('view'), 'image.export', 'report.export', 'break-glass.open', 'access.refused'])

/**
 * What the region's cross-viewing audit hears of a record: our person at another hospital's exam, or another hospital's person or agent at an exam served here.
 * Never whose exam it is: the study's UID and the task's id are all.
 */
export function crossViewingOf(record: AuditRecord, here: HospitalId): CrossViewing | undefined {
  const { actor, object, action, outcome, eventId, at, basis, code, facts, count } = record
  if (count !== undefined || object === undefined || !told.has(action)) return undefined // a repetition: its first has been told
  const owner = object.owner ?? here
  const isPerson = actor.kind === 'user' || actor.kind === 'service'
  const isOurs = isPerson && !isFromElsewhere(actor, here)
  const viewer = isOurs ? here : isPerson || actor.kind === 'hospital' ? HospitalId.safeParse(actor.hospitalId ?? actor.id).data : undefined
  if (viewer === undefined || viewer === owner || (isOurs && owner === here)) return undefined
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 64) : null)
  return {
    eventId,
    at,
    side: isOurs ? 'viewer' : 'owner',
    viewer,
    owner,
    actorId: actor.id,
    actorName: actor.name ?? actor.id,
    action,
    outcome,
    studyInstanceUid: object.type === 'study' ? object.id.slice(0, 64) : null,
    taskId: text(facts?.['taskId']) ?? (object.type === 'task' ? object.id.slice(0, 64) : null),
    basis: basis ?? null,
    authorisationId: text(facts?.['authorisationId']) ?? text(facts?.['grantId']),
    code: code ?? null,
  }
}
