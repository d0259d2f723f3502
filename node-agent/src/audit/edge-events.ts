import type { AuditEvent, HospitalId, Problem } from 'specs'
import type { TransferEnd, TransferJob } from '../transfer/job.ts'

/** Images of another hospital are here, whole and verified (FED-34). */
export function receivedEvent(job: TransferJob, here: HospitalId): AuditEvent {
  const { grantId, taskId, purpose } = job.grant.grant
  return {
    action: 'transfer.receive',
    outcome: 'success',
    actor: { kind: 'system', id: here },
    object: { type: 'study', id: job.studyInstanceUid, owner: job.owner },
    basis: 'grant',
    purpose,
    facts: { source: job.owner, destination: here, mode: job.purpose, instances: job.instancesTotal, bytes: job.bytesTotal, transferId: job.transferId, authorisationId: grantId, ...(taskId !== undefined && { taskId }) },
  } // prettier-ignore
}

/**
 * Images of another hospital that did not come (FED-34): stopped, with who stopped it where a person did, or given up with the cause and
 * how far it had come.
 */
export function endedEvent(job: TransferJob, end: TransferEnd, here: HospitalId): AuditEvent {
  const { grantId, taskId } = job.grant.grant
  const said = { source: job.owner, destination: here, mode: job.purpose, instances: job.instancesDone, instancesTotal: job.instancesTotal, bytes: job.bytesDone, transferId: job.transferId, authorisationId: grantId, ...(taskId !== undefined && { taskId }) } // prettier-ignore
  const about = { object: { type: 'study', id: job.studyInstanceUid, owner: job.owner } } as const
  // The run of a transfer may have begun with somebody's request; its failure is nobody's act.
  const system = { kind: 'system', id: here } as const
  if (end.kind === 'failed') return { action: 'transfer.receive', outcome: 'failed', code: end.code, actor: system, ...about, facts: { ...said, attempts: end.attempts } }
  const because = end.because === 'asked' ? {} : { actor: system, reason: end.because === 'task' ? 'the task no longer wants the images' : 'the owner has taken the grant back' }
  return { action: 'transfer.cancel', outcome: 'success', ...because, ...about, facts: said }
}

const actions: Readonly<Record<string, AuditEvent['action']>> = { dimse: 'dicom.association', stow: 'study.store', join: 'region.join' }

/** Refused at an edge of the node: an association, an object, an attempt to join. */
export function edgeRefusalEvent({ service, peer, address, problem }: { service: string; peer: string; address: string; problem: Problem }): AuditEvent {
  return {
    action: actions[service] ?? 'interface.call',
    outcome: 'refused',
    actor: { kind: service === 'dimse' ? 'dicom-node' : peer === '' ? 'system' : 'user', id: peer === '' ? 'unknown' : peer, sourceIp: address },
    object: { type: 'association', id: service },
    code: problem.code,
    facts: { ...problem.facts },
  }
}
