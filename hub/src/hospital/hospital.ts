import { Problem, type EpochMs, type HospitalConfig, type HospitalRow, type SyncRequest } from 'specs'
import type { Member } from './registry.ts'

/** A hospital of the region as the hub keeps it: configuration, membership, and what its node last said of itself. */
export interface Hospital {
  readonly config: HospitalConfig
  /** The certificate that counts now; undefined before joining and after revocation. */
  readonly certificate?: { readonly pem: string; readonly serial: string; readonly expires: EpochMs; readonly encryptionPem?: string }
  readonly revokedAt?: EpochMs
  readonly agentVersion?: string
  readonly lastSeenAt?: EpochMs
  readonly operating?: SyncRequest['status']
}

export function memberOf({ config, certificate, revokedAt }: Hospital): Member {
  const { id, name, kinds, taskTypes, flowModes } = config
  return { id, name, kinds, taskTypes, flowModes, joined: certificate !== undefined, revoked: revokedAt !== undefined }
}

/** How many heartbeats may fail to come before a node counts as offline. */
const MISSED_HEARTBEATS = 3

export function isOnline({ certificate, lastSeenAt }: Hospital, now: EpochMs, heartbeatMs: number): boolean {
  return certificate !== undefined && lastSeenAt !== undefined && now - lastSeenAt < MISSED_HEARTBEATS * heartbeatMs
}

/** The row of the console (FED-08): configuration, membership, and the last operating facts even while offline. */
export function rowOf(hospital: Hospital, now: EpochMs, heartbeatMs: number): HospitalRow {
  const { config, certificate, operating } = hospital
  return {
    ...config,
    joined: certificate !== undefined,
    revoked: hospital.revokedAt !== undefined,
    online: isOnline(hospital, now, heartbeatMs),
    lastSeenAt: hospital.lastSeenAt ?? null,
    certificateSerial: certificate?.serial ?? null,
    certificateExpires: certificate?.expires ?? null,
    agentVersion: hospital.agentVersion ?? null,
    pendingMessages: operating?.pendingMessages ?? 0,
    refusedMessages: operating?.refusedMessages ?? 0,
    studies: operating?.studies ?? 0,
    instances: operating?.instances ?? 0,
    freeBytes: operating?.freeBytes ?? 0,
    transfersActive: operating?.transfersActive ?? 0,
  }
}

/**
 * What configurations of one hospital must agree on beyond their form: whoever asks or answers has something to ask for
 * and a way to move the images. A data centre only keeps images.
 *
 * @throws {Problem} request/invalid naming the field.
 */
export function checkConfig({ kinds, taskTypes, flowModes }: HospitalConfig): void {
  const invalid = (path: string, message: string) => new Problem('request/invalid', { what: 'hospital', issues: [{ path, message }] })
  const clinical = kinds.includes('submitter') || kinds.includes('processor')
  if (clinical && taskTypes.length === 0) throw invalid('taskTypes', '提交方和处理方至少开通一种协作类型')
  if (clinical && flowModes.length === 0) throw invalid('flowModes', '提交方和处理方至少开通一种数据流动模式')
  for (const [path, values] of Object.entries({ kinds, taskTypes, flowModes })) {
    if (new Set<string>(values).size < values.length) throw invalid(path, '有重复项')
  }
}
