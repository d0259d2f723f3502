import type { Certificate } from 'pki'
import type { Queries, Transaction } from 'service-kit'
import { HospitalConfig, Problem, SyncRequest, type EpochMs, type HospitalId } from 'specs'
import { recordCertificate, revokeAll } from '../certificate/register.ts'
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
  readonly encryptionPem: string | null
}

const SELECT = `SELECT h.id, h.code, h.name, h.agent_address AS "agentAddress", h.kinds, h.task_types AS "taskTypes", h.flow_modes AS "flowModes",
  h.revoked_at AS "revokedAt", h.agent_version AS "agentVersion", h.last_seen_at AS "lastSeenAt", h.operating,
  c.serial, c.pem, c.expires, e.pem AS "encryptionPem"
  FROM hospital h LEFT JOIN certificate c ON c.serial = h.current_serial LEFT JOIN certificate e ON e.serial = h.encryption_serial`

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

/** What a node holds from now on: one certificate, or one to sign and one to receive. */
export interface NodeCertificates {
  readonly signing: Certificate
  readonly encryption?: Certificate | undefined
}

/** A node joins, perhaps again: what it held before is revoked as superseded. */
export async function admit(tx: Transaction, hospitalId: HospitalId, held: NodeCertificates, agentVersion: string, now: EpochMs): Promise<void> {
  await revokeAll(tx, { hospitalId, kinds: ['party', 'party-encryption'], code: 'superseded', reason: 'superseded', now })
  await take(tx, hospitalId, held, now)
  await tx.run('UPDATE hospital SET revoked_at = NULL, agent_version = $2 WHERE id = $1', [hospitalId, agentVersion])
}

/** A member's new key: what it signed with the former one stays good until that one's end, so nothing is revoked. */
export async function replaceCertificates(tx: Transaction, hospitalId: HospitalId, held: NodeCertificates, now: EpochMs): Promise<void> {
  await tx.run(`UPDATE certificate SET replaced_at = $2 WHERE hospital_id = $1 AND kind IN ('party', 'party-encryption') AND replaced_at IS NULL`, [hospitalId, now])
  await take(tx, hospitalId, held, now)
}

async function take(tx: Transaction, hospitalId: HospitalId, { signing, encryption }: NodeCertificates, now: EpochMs): Promise<void> {
  await recordCertificate(tx, signing, { kind: 'party', hospitalId }, now)
  if (encryption) await recordCertificate(tx, encryption, { kind: 'party-encryption', hospitalId }, now)
  await tx.run('UPDATE hospital SET current_serial = $2, encryption_serial = $3, updated_at = $4 WHERE id = $1', [
    hospitalId,
    signing.serial,
    encryption?.serial ?? null,
    now,
  ])
}

/** With everything certified in its name, its doctors' certificates too. @returns Whether there was a certificate to revoke. */
export async function expel(tx: Transaction, hospitalId: HospitalId, reason: string, now: EpochMs): Promise<boolean> {
  const changed = await tx.run('UPDATE hospital SET current_serial = NULL, encryption_serial = NULL, revoked_at = $2, updated_at = $2 WHERE id = $1 AND current_serial IS NOT NULL', [
    hospitalId,
    now,
  ])
  if (changed > 0) await revokeAll(tx, { hospitalId, code: 'cessation-of-operation', reason, now })
  return changed > 0
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
      ? { certificate: { serial: row.serial, pem: row.pem, expires: row.expires, ...(row.encryptionPem !== null && { encryptionPem: row.encryptionPem }) } }
      : {}),
    ...(row.revokedAt !== null ? { revokedAt: row.revokedAt } : {}),
    ...(row.agentVersion !== null ? { agentVersion: row.agentVersion } : {}),
    ...(row.lastSeenAt !== null ? { lastSeenAt: row.lastSeenAt } : {}),
    ...(row.operating !== null ? { operating: SyncRequest.shape.status.parse(JSON.parse(row.operating)) } : {}),
  }
}
