import type { Queries, Transaction } from 'service-kit'
import { HospitalConfig, Problem, SyncRequest, type EpochMs, type HospitalId } from 'specs'
import { memberOf, type Hospital } from './hospital.ts'
import { Registry } from './registry.ts'

interface HospitalSqlRow {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly agentAddress: string
  readonly kinds: string
  readonly taskTypes: string
  readonly flowModes: string
  readonly revokedAt: number | null
  readonly agentVersion: string | null
  readonly lastSeenAt: number | null
  readonly operating: string | null
  readonly serial: string | null
  readonly pem: string | null
  readonly expires: number | null
}

const SELECT = `SELECT h.id, h.code, h.name, h.agent_address AS "agentAddress", h.kinds, h.task_types AS "taskTypes", h.flow_modes AS "flowModes",
  h.revoked_at AS "revokedAt", h.agent_version AS "agentVersion", h.last_seen_at AS "lastSeenAt", h.operating,
  c.serial, c.pem, c.expires
  FROM hospital h LEFT JOIN certificate c ON c.serial = h.current_serial`

export async function allHospitals(queries: Queries): Promise<Hospital[]> {
  const rows = await queries.all<HospitalSqlRow>(`${SELECT} ORDER BY h.created_at, h.id`)
  return rows.map(hospitalOf)
}

/** @throws {Problem} region/unknown-hospital */
export async function readHospital(queries: Queries, id: HospitalId): Promise<Hospital> {
  const row = await queries.get<HospitalSqlRow>(`${SELECT} WHERE h.id = $1`, [id])
  if (!row) throw new Problem('region/unknown-hospital', { hospitalId: id })
  return hospitalOf(row)
}

export async function readRegistry(queries: Queries): Promise<Registry> {
  const hospitals = await allHospitals(queries)
  return new Registry(hospitals.map(memberOf))
}

/** @throws {Problem} region/hospital-exists: identifier or code is taken (FED-09). */
export async function insertHospital(tx: Transaction, config: HospitalConfig, now: EpochMs): Promise<void> {
  await refuseTakenCode(tx, config)
  const inserted = await tx.run(
    `INSERT INTO hospital (id, code, name, agent_address, kinds, task_types, flow_modes, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING`,
    [...columnsOf(config), now],
  )
  if (inserted === 0) throw new Problem('region/hospital-exists', { field: 'id', id: config.id })
}

/** @throws {Problem} region/unknown-hospital, region/hospital-exists: another hospital has the code. */
export async function updateHospital(tx: Transaction, config: HospitalConfig, now: EpochMs): Promise<void> {
  await refuseTakenCode(tx, config)
  const changed = await tx.run(
    `UPDATE hospital SET code = $2, name = $3, agent_address = $4, kinds = $5, task_types = $6, flow_modes = $7, updated_at = $8 WHERE id = $1`,
    [...columnsOf(config), now],
  )
  if (changed === 0) throw new Problem('region/unknown-hospital', { hospitalId: config.id })
}

/** Looked for first, so that the answer names who has it; of two transactions at once the database lets one pass. */
async function refuseTakenCode(tx: Transaction, { id, code }: HospitalConfig): Promise<void> {
  const other = await tx.get<{ id: string }>('SELECT id FROM hospital WHERE code = $1 AND id <> $2', [code, id])
  if (other) throw new Problem('region/hospital-exists', { field: 'code', id: other.id })
}

export interface IssuedCertificate {
  readonly hospitalId: HospitalId
  readonly pem: string
  readonly serial: string
  readonly expires: EpochMs
}

/** The new certificate is the one that counts; the one before is revoked as superseded. */
export async function admit(tx: Transaction, certificate: IssuedCertificate, agentVersion: string, now: EpochMs): Promise<void> {
  await revokeCurrent(tx, certificate.hospitalId, 'superseded', now)
  await tx.run('INSERT INTO certificate (serial, hospital_id, pem, issued_at, expires) VALUES ($1, $2, $3, $4, $5)', [
    certificate.serial,
    certificate.hospitalId,
    certificate.pem,
    now,
    certificate.expires,
  ])
  await tx.run('UPDATE hospital SET current_serial = $2, revoked_at = NULL, agent_version = $3, updated_at = $4 WHERE id = $1', [
    certificate.hospitalId,
    certificate.serial,
    agentVersion,
    now,
  ])
}

/** @returns Whether there was a certificate to revoke. */
export async function expel(tx: Transaction, hospitalId: HospitalId, reason: string, now: EpochMs): Promise<boolean> {
  const revoked = await revokeCurrent(tx, hospitalId, reason, now)
  if (revoked) await tx.run('UPDATE hospital SET current_serial = NULL, revoked_at = $2, updated_at = $2 WHERE id = $1', [hospitalId, now])
  return revoked
}

async function revokeCurrent(tx: Transaction, hospitalId: HospitalId, reason: string, now: EpochMs): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE certificate SET revoked_at = $2, reason = $3
     WHERE revoked_at IS NULL AND serial = (SELECT current_serial FROM hospital WHERE id = $1)`,
    [hospitalId, now, reason],
  )
  return changed > 0
}

/** Every revoked certificate that would still be valid otherwise. */
export function revokedCertificates(queries: Queries, now: EpochMs): Promise<{ serial: string; at: EpochMs }[]> {
  return queries.all(
    'SELECT serial, revoked_at AS "at" FROM certificate WHERE revoked_at IS NOT NULL AND expires > $1 ORDER BY revoked_at, serial',
    [now],
  )
}

/** @returns Whether the node was known as joined; a heartbeat of anybody else changes nothing. */
export async function recordHeartbeat(tx: Queries, hospitalId: HospitalId, heartbeat: SyncRequest, now: EpochMs): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE hospital SET last_seen_at = $2, agent_version = $3, operating = $4 WHERE id = $1 AND current_serial IS NOT NULL',
    [hospitalId, now, heartbeat.version, JSON.stringify(heartbeat.status)],
  )
  return changed > 0
}

function columnsOf({ id, code, name, agentAddress, kinds, taskTypes, flowModes }: HospitalConfig): string[] {
  return [id, code, name, agentAddress, JSON.stringify(kinds), JSON.stringify(taskTypes), JSON.stringify(flowModes)]
}

function hospitalOf(row: HospitalSqlRow): Hospital {
  const { id, code, name, agentAddress } = row
  const lists = { kinds: JSON.parse(row.kinds), taskTypes: JSON.parse(row.taskTypes), flowModes: JSON.parse(row.flowModes) }
  return {
    config: HospitalConfig.parse({ id, code, name, agentAddress, ...lists }),
    ...(row.serial !== null && row.pem !== null && row.expires !== null
      ? { certificate: { serial: row.serial, pem: row.pem, expires: row.expires } }
      : {}),
    ...(row.revokedAt !== null ? { revokedAt: row.revokedAt } : {}),
    ...(row.agentVersion !== null ? { agentVersion: row.agentVersion } : {}),
    ...(row.lastSeenAt !== null ? { lastSeenAt: row.lastSeenAt } : {}),
    ...(row.operating !== null ? { operating: SyncRequest.shape.status.parse(JSON.parse(row.operating)) } : {}),
  }
}
