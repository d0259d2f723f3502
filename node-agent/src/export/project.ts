import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { hmacSm3, randomBytes } from 'pki'
import type { Database, Transaction } from 'service-kit'
import { Problem, type EpochMs, type ExportProject, type Reidentified } from 'specs'
import type { Sealing } from '../patient/contact.ts'

/** Whom a pseudonym stands for; lies sealed. */
export interface Original {
  readonly patientId: string
  readonly patientName: string
  readonly studyInstanceUid: string | null
  readonly accessionNumber: string | null
}

type Kind = 'patient' | 'study'
const prefixes = { patient: 'PAT', study: 'ST' } as const satisfies Record<Kind, string>
const LONGEST_SHIFT_DAYS = 1_461

/** What makes names in one project the same each time, and different from those of every other. */
export interface ProjectKey {
  readonly projectId: string
  readonly key: Uint8Array
}

/** The project of that name, or one for this export alone, which has its number. Made when it is not there. */
export async function openProject(db: Database, vault: Sealing, name: string, { exportId, accountId, now }: { exportId: string; accountId: string; now: EpochMs }): Promise<ProjectKey> {
  const projectId = name === '' ? exportId : randomUUID()
  const sealed = vault.seal(Buffer.from(randomBytes(32)).toString('hex'), `export-project/${projectId}`)
  const row = await db.write(async (tx) => {
    await tx.run('INSERT INTO export_project (project_id, name, sealed_key, created_by, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING', [projectId, name === '' ? null : name, sealed, accountId, now])
    return tx.get<{ projectId: string; sealed: string }>(`SELECT project_id AS "projectId", sealed_key AS "sealed" FROM export_project WHERE ${name === '' ? 'project_id = $1' : 'name = $1'}`, [name === '' ? projectId : name])
  })
  if (!row) throw new Error('the project that was just kept is not there')
  return { projectId: row.projectId, key: keyOf(vault, row) }
}

/** @throws {Problem} vault/unreadable */
export async function keyOfProject(db: Database, vault: Sealing, projectId: string): Promise<ProjectKey> {
  const row = await db.get<{ projectId: string; sealed: string }>('SELECT project_id AS "projectId", sealed_key AS "sealed" FROM export_project WHERE project_id = $1', [projectId])
  if (!row) throw new Problem('export/unknown')
  return { projectId, key: keyOf(vault, row) }
}

const keyOf = (vault: Sealing, { projectId, sealed }: { projectId: string; sealed: string }): Uint8Array => Buffer.from(vault.open(sealed, `export-project/${projectId}`), 'hex')

/** UIDs under 2.25 that only the holder of the project's key can tell to belong to an original (PS3.5 B.2). */
export function uidOf({ key }: ProjectKey, original: string): string {
  const bytes = Buffer.from(hmacSm3(key, Buffer.from('uid\0'), Buffer.from(original))).subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80 // version 8, RFC 9562: a UUID made by a rule of our own
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return `2.25.${BigInt(`0x${bytes.toString('hex')}`)}`
}

/** All exams of a patient move by the same days, back by up to four years and never by none. */
export function shiftOf({ key }: ProjectKey, patientId: string): number {
  const number = Buffer.from(hmacSm3(key, Buffer.from('shift\0'), Buffer.from(patientId))).readUInt32BE(0)
  return -1 - (number % LONGEST_SHIFT_DAYS)
}

/** The number under which a patient or a study goes in the project, given at first sight. @returns PAT-000123 or ST-000045 */
export async function pseudonymOf(db: Database, vault: Sealing, { projectId }: ProjectKey, kind: Kind, original: Original, now: EpochMs): Promise<string> {
  const index = vault.blindIndex(identityOf(kind, original.patientId, original.studyInstanceUid), `export/${projectId}`)
  const number = await db.write(async (tx) => (await known(tx, projectId, kind, index)) ?? give(tx, vault, { projectId, kind, index, original, now }))
  return `${prefixes[kind]}-${String(number).padStart(6, '0')}`
}

/** Images without a patient's number are nobody else's: each study is then a patient of its own. */
function identityOf(kind: Kind, patientId: string, study: string | null): string {
  if (kind === 'study') return `study ${study}`
  return patientId === '' ? `of ${study}` : `patient ${patientId}`
}

async function known(tx: Transaction, projectId: string, kind: Kind, index: string): Promise<number | undefined> {
  return (await tx.get<{ number: number }>('SELECT number FROM export_pseudonym WHERE project_id = $1 AND kind = $2 AND original_index = $3', [projectId, kind, index]))?.number
}

async function give(tx: Transaction, vault: Sealing, { projectId, kind, index, original, now }: { projectId: string; kind: Kind; index: string; original: Original; now: EpochMs }): Promise<number> {
  // One after the other, also in several processes.
  await tx.run('UPDATE export_project SET created_at = created_at WHERE project_id = $1', [projectId])
  const before = await known(tx, projectId, kind, index)
  if (before !== undefined) return before
  const last = await tx.get<{ number: number | null }>('SELECT MAX(number) AS "number" FROM export_pseudonym WHERE project_id = $1 AND kind = $2', [projectId, kind])
  const [number, pseudonymId] = [(last?.number ?? 0) + 1, randomUUID()]
  await tx.run('INSERT INTO export_pseudonym (pseudonym_id, project_id, kind, number, original_index, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)', [
    pseudonymId, projectId, kind, number, index, vault.seal(JSON.stringify(original), `export-pseudonym/${pseudonymId}`), now,
  ]) // prettier-ignore
  return number
}

/**
 * An exam has been destroyed: what stood for it stands for nobody any more, and what stood for its patient not after the last exam.
 * The numbers stay taken: packages that left carry them.
 * @returns how many pseudonyms
 */
export async function forgetPseudonyms(tx: Transaction, vault: Sealing, { study, patientId }: { study: string; patientId: string }): Promise<number> {
  const left = patientId === '' ? undefined : await tx.get('SELECT exam_id FROM exam WHERE patient_id = $1 LIMIT 1', [patientId])
  const gone = [identityOf('study', patientId, study), ...(left === undefined ? [identityOf('patient', patientId, study)] : [])]
  let forgotten = 0
  for (const { projectId } of await tx.all<{ projectId: string }>('SELECT DISTINCT project_id AS "projectId" FROM export_pseudonym'))
    for (const identity of gone) forgotten += await tx.run(`UPDATE export_pseudonym SET sealed = '', original_index = 'gone/' || pseudonym_id WHERE project_id = $1 AND original_index = $2`, [projectId, vault.blindIndex(identity, `export/${projectId}`)])
  return forgotten
}

/** Named projects, the newest first. */
export function listProjects(db: Database): Promise<ExportProject[]> {
  return db.all<ExportProject>(
    `SELECT p.project_id AS "projectId", p.name AS "name", p.created_at AS "createdAt", (SELECT COUNT(*) FROM export_pseudonym s WHERE s.project_id = p.project_id AND s.kind = 'patient') AS "patients"
     FROM export_project p WHERE p.name IS NOT NULL ORDER BY p.created_at DESC LIMIT 200`,
  )
}

/** Who a pseudonym stands for. @throws {Problem} export/pseudonym-unknown, vault/unreadable */
export async function reidentify(db: Database, vault: Sealing, projectId: string, pseudonym: string): Promise<Reidentified> {
  const [prefix, number] = pseudonym.split('-')
  const row = await db.get<{ pseudonymId: string; sealed: string }>('SELECT pseudonym_id AS "pseudonymId", sealed FROM export_pseudonym WHERE project_id = $1 AND kind = $2 AND number = $3 AND sealed <> $4', [
    projectId, prefix === 'PAT' ? 'patient' : 'study', Number(number), '',
  ]) // prettier-ignore
  if (!row) throw new Problem('export/pseudonym-unknown', { pseudonym })
  return { pseudonym, ...(JSON.parse(vault.open(row.sealed, `export-pseudonym/${row.pseudonymId}`)) as Original) }
}
