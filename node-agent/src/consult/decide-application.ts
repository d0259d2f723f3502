import { Problem, type ConsultApplication, type Directory, type DirectoryEntry, type HospitalConfig, type HospitalId } from 'specs'

/** Who may open the request, and who else must be able to fetch the images. */
export interface Addressees {
  readonly processors: readonly HospitalId[]
  readonly dataCentres: readonly HospitalId[]
}

/**
 * Whether this application can be sent, by the newest directory we have; the hub decides again. A clear no at the press of
 * the button is worth more than a refusal an hour later, when the line is back.
 *
 * @throws {Problem} region/not-a-submitter, task-type-disabled, flow-mode-disabled, unknown-hospital, not-a-processor, no-data-centre; request/invalid
 */
export function decideApplication(application: ConsultApplication, us: HospitalConfig, directory: Directory): Addressees {
  const who = { hospitalId: us.id, hospitalName: us.name }
  if (!us.kinds.includes('submitter')) throw new Problem('region/not-a-submitter', who)
  if (!us.taskTypes.includes('consultation')) throw new Problem('region/task-type-disabled', { ...who, taskType: 'consultation' })
  if (!us.flowModes.includes(application.mode)) throw new Problem('region/flow-mode-disabled', { ...who, mode: application.mode })
  if ((application.mode === 'push') !== (application.imagesTo !== 'none')) {
    throw new Problem('request/invalid', { what: 'imagesTo', mode: application.mode, imagesTo: application.imagesTo })
  }
  const members = directory.hospitals.filter((hospital) => hospital.id !== us.id && hospital.certificate !== '' && !hospital.revoked)
  const dataCentres =
    application.imagesTo === 'data-centre' ? members.filter((hospital) => hospital.kinds.includes('data-centre')).map(({ id }) => id) : []
  if (application.imagesTo === 'data-centre' && dataCentres.length === 0) throw new Problem('region/no-data-centre')
  return { processors: processorsFor(application, members, directory), dataCentres }
}

function processorsFor({ target }: ConsultApplication, members: readonly DirectoryEntry[], directory: Directory): HospitalId[] {
  const canConsult = (hospital: DirectoryEntry) => hospital.kinds.includes('processor') && hospital.taskTypes.includes('consultation')
  if (target.kind === 'pool') {
    const pool = members.filter(canConsult).map(({ id }) => id)
    if (pool.length === 0) throw new Problem('region/not-a-processor', { reason: 'empty-pool' })
    return pool
  }
  if (!directory.hospitals.some(({ id }) => id === target.hospitalId))
    throw new Problem('region/unknown-hospital', { hospitalId: target.hospitalId })
  const named = members.find(({ id }) => id === target.hospitalId)
  if (!named) throw new Problem('region/not-a-processor', { hospitalId: target.hospitalId, reason: 'not-joined' })
  if (!canConsult(named)) throw new Problem('region/not-a-processor', { hospitalId: named.id, hospitalName: named.name, reason: 'kind' })
  return [named.id]
}
