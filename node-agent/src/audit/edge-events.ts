import type { AuditEvent, HospitalId, Problem } from 'specs'
import type { TransferJob } from '../transfer/job.ts'

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
