import type { HttpFace, Outbound, Trail } from 'service-kit'
import type { AuditEvent, HospitalKind } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { addCommitmentRoutes } from '../commitment/routes.ts'
import { Commitments } from '../commitment/commitments.ts'
import type { Commitment } from '../commitment/store.ts'
import type { CommitmentResult } from '../commitment/transaction.ts'
import { nodeToSendTo } from '../dicom-node/store.ts'
import { peerGate } from '../dicom-node/peer-gate.ts'
import type { Devices } from './devices.ts'
import type { Ground } from './ground.ts'

export interface CommitmentNodeParts {
  readonly audit: Trail
  readonly access: AccessControl
  readonly outbound: Outbound
  readonly devices: Devices
  readonly face: HttpFace
  /** What the region says we are. */
  readonly kinds: () => readonly HospitalKind[]
}

/** Storage commitment over the archives that are ours to answer for: the regional one is a cache, except at a data centre. */
export function openCommitments(ground: Ground, { audit, access, outbound, devices, face, kinds }: CommitmentNodeParts): Commitments {
  const { db, log, settings, hospitalId, inHospital, regional } = ground
  const commitments = new Commitments({
    db, log,
    archives: () => (kinds().includes('data-centre') ? [inHospital, regional] : [inHospital]),
    sending: { callingAeTitle: settings.dimse.aeTitle, addressOf: peerGate({ outbound, keyFolder: ground.keyFolder }), log },
    // Whoever may send images may ask whether they are kept.
    admit: async ({ callingAeTitle }) => access.admitDicomNode(callingAeTitle, await devices.callers.rightsOf(callingAeTitle), 'store', { owner: hospitalId, kept: 'in-hospital' }),
    peerOf: (aeTitle, remoteAddress) => nodeToSendTo(db, aeTitle, remoteAddress),
    onSettled: async (about, result) => {
      for (const [study, instances] of await studiesOf(inHospital, about)) audit.note(committedEvent(about, result, { study, instances, hospitalId }))
    },
  }) // prettier-ignore
  addCommitmentRoutes(face, { db, commitments })
  return commitments
}

/** The studies that a transaction is about, as far as we have them, with how many of their instances it names. */
async function studiesOf(archive: Ground['inHospital'], { instances }: Commitment): Promise<Map<string, Set<string>>> {
  const studies = new Map<string, Set<string>>()
  for (const { sopInstanceUid } of instances) {
    const study = (await archive.instance(sopInstanceUid))?.studyInstanceUid
    if (study !== undefined) studies.set(study, (studies.get(study) ?? new Set()).add(sopInstanceUid))
  }
  return studies
}

function committedEvent({ direction, aeTitle, transactionUid }: Commitment, result: CommitmentResult, { study, instances, hospitalId }: { study: string; instances: ReadonlySet<string>; hospitalId: Ground['hospitalId'] }): AuditEvent {
  const failed = result.failed.filter(({ sopInstanceUid }) => instances.has(sopInstanceUid)).length
  const [source, destination] = direction === 'given' ? [aeTitle, hospitalId] : [hospitalId, aeTitle]
  return {
    action: 'study.commit',
    outcome: failed > 0 ? 'failed' : 'success',
    actor: { kind: 'dicom-node', id: aeTitle },
    object: { type: 'study', id: study, owner: hospitalId },
    facts: { source, destination, mode: direction, instances: instances.size - failed, instancesFailed: failed, transactionUid },
  }
}
