import { Problem, type ConsultFacts, type HospitalId } from 'specs'
import { whyNoProcessor, type Member } from '../hospital/registry.ts'
import { sealedAudience } from './sealed-content.ts'
import { record, type Circumstances, type CommandOf, type Decision, type Task } from './task.ts'

/**
 * 申请. The submitter must be allowed to ask this kind of question in this way, and somebody must be able to answer.
 *
 * @throws {Problem} region/not-a-submitter, task-type-disabled, flow-mode-disabled, unknown-hospital, not-a-processor,
 *   no-data-centre; consult/no-processor; access/grant-invalid, access/grant-expired; envelope/wrong-audience; request/invalid.
 */
export function decideSubmit(command: CommandOf<'submit'>, circumstances: Circumstances): Decision {
  const { sender, registry, regionId, now } = circumstances
  const { facts, sealed } = command
  checkSubmitter(registry.read(sender), facts)
  checkImagesFitMode(facts)
  checkGrant(command, circumstances)

  const offeredTo = processorsFor(facts, circumstances)
  const dataCentres = facts.imagesTo === 'data-centre' ? dataCentresFor(facts, circumstances) : []
  const audience = sealedAudience(sealed)
  // A pool member that the submitter's older directory did not know yet can read nothing, so it is not asked.
  const readers = offeredTo.filter((id) => audience.includes(id))
  if (readers.length === 0) throw new Problem('envelope/wrong-audience', { offeredTo })

  const task: Task = {
    id: command.taskId,
    regionId,
    submitter: sender,
    facts,
    state: 'submitted',
    revision: 0,
    holderRevision: 0,
    offeredTo: readers,
    declinedBy: [],
    dataCentres,
    imagesArrivedAt: [],
    createdAt: now,
    updatedAt: now,
  }
  return record(task, command, { type: 'submitted', changes: {}, tells: { facts, sealed } }, now)
}

function checkSubmitter(submitter: Member, facts: ConsultFacts): void {
  const who = { hospitalId: submitter.id, hospitalName: submitter.name }
  if (!submitter.kinds.includes('submitter')) throw new Problem('region/not-a-submitter', who)
  if (!submitter.taskTypes.includes(facts.taskType)) throw new Problem('region/task-type-disabled', { ...who, taskType: facts.taskType })
  if (!submitter.flowModes.includes(facts.mode)) throw new Problem('region/flow-mode-disabled', { ...who, mode: facts.mode })
}

/** Push sends images somewhere, pull sends them nowhere (FED-10). */
function checkImagesFitMode({ mode, imagesTo }: ConsultFacts): void {
  if ((mode === 'push') === (imagesTo !== 'none')) return
  throw new Problem('request/invalid', { what: 'imagesTo', mode, imagesTo })
}

/** Consistency only: whose it is, for which images, until when. Its signature is checked at the edge and again at every use. */
function checkGrant({ taskId, facts }: CommandOf<'submit'>, { sender, now }: Circumstances): void {
  const { grant } = facts.grant
  const invalid = (reason: string) => new Problem('access/grant-invalid', { grantId: grant.grantId, reason })
  if (grant.owner !== sender) throw invalid('owner')
  if (grant.taskId !== undefined && grant.taskId !== taskId) throw invalid('task')
  if (!facts.studyInstanceUids.every((uid) => grant.studyInstanceUids.includes(uid))) throw invalid('studies')
  if (grant.expires <= now) throw new Problem('access/grant-expired', { grantId: grant.grantId, expires: grant.expires })
}

/** The named hospital, or all that can process this type and that the grant lets see the images. */
function processorsFor(facts: ConsultFacts, { sender, registry }: Circumstances): HospitalId[] {
  const { grantees, grantId } = facts.grant.grant
  if (facts.target.kind === 'hospital') {
    const target = registry.read(facts.target.hospitalId)
    if (target.id === sender) throw new Problem('request/invalid', { what: 'target', reason: 'own-hospital' })
    const problem = whyNoProcessor(target, facts.taskType)
    if (problem) throw problem
    if (!grantees.includes(target.id)) throw new Problem('access/grant-invalid', { grantId, reason: 'target' })
    return [target.id]
  }
  const pool = registry.processorsOf(facts.taskType).filter(({ id }) => id !== sender && grantees.includes(id))
  if (pool.length === 0) throw new Problem('consult/no-processor', { taskType: facts.taskType })
  return pool.map(({ id }) => id)
}

function dataCentresFor(facts: ConsultFacts, { registry }: Circumstances): HospitalId[] {
  const { grantees, grantId } = facts.grant.grant
  if (registry.dataCentres.length === 0) throw new Problem('region/no-data-centre')
  const granted = registry.dataCentres.filter(({ id }) => grantees.includes(id))
  if (granted.length === 0) throw new Problem('access/grant-invalid', { grantId, reason: 'data-centre' })
  return granted.map(({ id }) => id)
}
