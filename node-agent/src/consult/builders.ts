import { randomUUID } from 'node:crypto'
import { ConsultEvent, ConsultFacts, Directory, HospitalConfig, RegionId, type HospitalId } from 'specs'
import { A, aGrant, B, C, CENTRE, CHEST, NOW, TASK } from '../access/builders.ts'
import { beginConsult, type Consult, type Here } from './consult.ts'

export const yunling = RegionId.parse('yunling')

export const aHospital = (id: HospitalId, kinds: readonly string[], change: Record<string, unknown> = {}) => ({
  ...HospitalConfig.parse({ id, name: `医院 ${id}`, code: id, kinds, taskTypes: ['consultation'], flowModes: ['push', 'pull'], ...change }),
  certificate: 'pem',
  revoked: false,
})

/** A submits, B does both, C processes, and there is a data centre. */
export const aDirectory = (
  hospitals = [
    aHospital(A, ['submitter']),
    aHospital(B, ['submitter', 'processor']),
    aHospital(C, ['processor']),
    aHospital(CENTRE, ['data-centre']),
  ],
): Directory => Directory.parse({ version: 1, regionId: 'yunling', regionName: '云岭区域影像网', crl: 'crl', hospitals })

export const hereAt = (hospitalId: HospitalId): Here => ({ hospitalId, regionId: yunling, directory: aDirectory() })

export const someFacts = (change: Partial<ConsultFacts> = {}): ConsultFacts =>
  ConsultFacts.parse({
    taskType: 'consultation', mode: 'push', target: { kind: 'hospital', hospitalId: C }, imagesTo: 'processor', modality: 'CT', bodyPart: 'CHEST',
    urgency: 'routine', patientLabel: '张*', studyInstanceUids: [CHEST], instanceCount: 60, sizeBytes: 1_000,
    grant: { grant: aGrant({ grantees: [B, C, CENTRE] }), signature: 'c2ln', certificateChain: ['leaf'] },
    ...change,
  }) // prettier-ignore

export const anEvent = (type: ConsultEvent['type'], revision: number, change: Record<string, unknown> = {}): ConsultEvent =>
  ConsultEvent.parse({
    type, revision, taskId: TASK, commandId: randomUUID(), by: { hospitalId: A, userId: 'wang', name: '王建华' }, at: NOW, sequencedAt: NOW + revision, submitter: A,
    state: type === 'claimed' ? 'accepted' : type === 'cancelled' || type === 'declined' || type === 'signed' ? type : 'submitted',
    ...change,
  }) // prettier-ignore

export const by = (hospitalId: HospitalId, userId = 'u1') => ({ hospitalId, userId, name: '周敏' })

/** The task as a hospital sees it after `submitted`. */
export const aConsultAt = (hospitalId: HospitalId, facts: ConsultFacts = someFacts()): Consult =>
  beginConsult(anEvent('submitted', 1, { facts }), facts, hereAt(hospitalId), undefined)
