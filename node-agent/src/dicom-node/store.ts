import { randomUUID } from 'node:crypto'
import { isUniqueViolation, type Migration, type Queries, type Transaction } from 'service-kit'
import { type AeTitle, DicomNode, type EpochMs, Problem, type RegionId } from 'specs'
import type { z } from 'zod'
import type { DeviceRights } from '../access/policy/subject.ts'

/** A registered DICOM node; its id is given by us. */
export type RegisteredNode = DicomNode & { readonly id: string }

export const dicomNodeMigrations: readonly Migration[] = [
  {
    name: '0001-dicom-node',
    up: [
      `CREATE TABLE dicom_node (node_id TEXT PRIMARY KEY, ae_title TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, description TEXT NOT NULL,
        allowed INTEGER NOT NULL, forward_pushed INTEGER NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, UNIQUE (ae_title, host, port))`,
      `CREATE TABLE dicom_forward (study_instance_uid TEXT NOT NULL, node_id TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
        next_attempt_at BIGINT, instances_total INTEGER NOT NULL, instances_done INTEGER NOT NULL, problem TEXT, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, PRIMARY KEY (study_instance_uid, node_id))`,
      `CREATE INDEX dicom_forward_due ON dicom_forward (state, next_attempt_at)`,
      // sm3 of the file as sent: changed content is sent again.
      `CREATE TABLE dicom_forward_done (study_instance_uid TEXT NOT NULL, node_id TEXT NOT NULL, sop_instance_uid TEXT NOT NULL, sm3 TEXT NOT NULL,
        PRIMARY KEY (study_instance_uid, node_id, sop_instance_uid))`,
    ],
  },
  { name: '0002-region', up: ['ALTER TABLE dicom_node ADD COLUMN region_id TEXT'] },
  {
    name: '0003-rights',
    up: [
      `ALTER TABLE dicom_node ADD COLUMN permissions TEXT NOT NULL DEFAULT '["store","query","retrieve"]'`,
      `ALTER TABLE dicom_node ADD COLUMN scope TEXT NOT NULL DEFAULT '{}'`,
      `ALTER TABLE dicom_node ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'`,
      `ALTER TABLE dicom_node ADD COLUMN place TEXT NOT NULL DEFAULT '{"campus":"","department":"","area":""}'`,
    ],
  },
  // JSON: limits, charset, syntaxes, worklist and TLS of one device; what is not named is as everywhere.
  { name: '0004-terms', up: [`ALTER TABLE dicom_node ADD COLUMN terms TEXT NOT NULL DEFAULT '{}'`] },
]

interface NodeRow {
  readonly id: string
  readonly aeTitle: AeTitle
  readonly host: string
  readonly port: number
  readonly description: string
  readonly allowed: number
  readonly forwardPushed: number
  readonly regionId: RegionId | null
  /** JSON, each. */
  readonly permissions: string
  readonly scope: string
  readonly labels: string
  readonly place: string
  readonly terms: string
}

const columns = `node_id AS "id", ae_title AS "aeTitle", host, port, description, allowed, forward_pushed AS "forwardPushed", region_id AS "regionId",
  permissions, scope, labels, place, terms`
const Rights = DicomNode.pick({ permissions: true, scope: true, labels: true, place: true })
const Terms = DicomNode.pick({ maxAssociations: true, preferredSyntaxes: true, charset: true, ownWorklist: true, secure: true })
const rightsOf = (row: Pick<NodeRow, keyof typeof Rights.shape>) =>
  Rights.parse({ permissions: JSON.parse(row.permissions), scope: JSON.parse(row.scope), labels: JSON.parse(row.labels), place: JSON.parse(row.place) })
const termsOf = ({ terms }: Pick<NodeRow, 'terms'>) => Terms.parse(JSON.parse(terms))
function nodeOf({ terms, ...row }: NodeRow): RegisteredNode {
  return { ...row, ...rightsOf({ ...row }), ...termsOf({ terms }), allowed: row.allowed === 1, forwardPushed: row.forwardPushed === 1 }
}
const stored = (node: DicomNode): string[] => [node.permissions, node.scope, node.labels, node.place, Terms.parse(node)].map((value) => JSON.stringify(value))

export async function listNodes(db: Queries): Promise<RegisteredNode[]> {
  return (await db.all<NodeRow>(`SELECT ${columns} FROM dicom_node ORDER BY ae_title, host, port`)).map(nodeOf)
}

/** @throws {Problem} dimse/unknown-node */
export async function readNode(db: Queries, id: string): Promise<RegisteredNode> {
  const row = await db.get<NodeRow>(`SELECT ${columns} FROM dicom_node WHERE node_id = $1`, [id])
  if (!row) throw new Problem('dimse/unknown-node', { id })
  return nodeOf(row)
}

/** What somebody of this AE title may do here; undefined: not registered. Asked anew for every association and request, so a change works at once (ARC-05). */
export async function rightsOfCaller(db: Queries, aeTitle: string): Promise<DeviceRights | undefined> {
  return (await callerOf(db, aeTitle))?.rights
}

/** An AE title may be registered for several addresses; it may what any of them may, and the first one's terms count. */
export interface RegisteredCaller {
  readonly rights: DeviceRights
  readonly terms: z.output<typeof Terms>
}

/** @returns undefined: not registered; `closed`: registered, but not allowed. */
export async function knownCaller(db: Queries, aeTitle: string): Promise<RegisteredCaller | 'closed' | undefined> {
  const rows = await db.all<NodeRow>(`SELECT ${columns} FROM dicom_node WHERE ae_title = $1 ORDER BY created_at, node_id`, [aeTitle])
  const allowed = rows.filter((row) => row.allowed === 1)
  if (allowed[0]) return { rights: allowed.map(rightsOf), terms: termsOf(allowed[0]) }
  return rows.length > 0 ? 'closed' : undefined
}

export async function callerOf(db: Queries, aeTitle: string): Promise<RegisteredCaller | undefined> {
  const known = await knownCaller(db, aeTitle)
  return known === 'closed' ? undefined : known
}

/** Where the check of AE titles is switched off, of whoever is not registered. */
export const anyDevice: DeviceRights = [{ permissions: ['store', 'query', 'retrieve', 'worklist'], scope: {}, labels: [] }]

/** Where a device stands, if its registrations agree on it. */
export async function placeOfCaller(db: Queries, aeTitle: string): Promise<DicomNode['place'] | undefined> {
  const rows = await db.all<NodeRow>(`SELECT ${columns} FROM dicom_node WHERE ae_title = $1 AND allowed = 1 ORDER BY node_id`, [aeTitle])
  const [first, ...others] = rows.map(({ place }) => place)
  return first !== undefined && others.every((place) => place === first) ? rightsOf(rows[0]!).place : undefined
}

/** The region whose images an AE title sends, if it has been given one (FED-20). */
export async function regionOfCaller(db: Queries, aeTitle: string): Promise<RegionId | undefined> {
  const row = await db.get<{ regionId: RegionId }>(
    'SELECT region_id AS "regionId" FROM dicom_node WHERE ae_title = $1 AND allowed = 1 AND region_id IS NOT NULL ORDER BY node_id LIMIT 1',
    [aeTitle],
  )
  return row?.regionId
}

/**
 * Where a C-MOVE to this AE title goes (PS3.4 C.4.2.2.1): of several addresses with one title the caller's own, otherwise the one that
 * was registered first. Undefined: nobody of that title is registered.
 */
export async function nodeToSendTo(db: Queries, aeTitle: string, callerAddress: string): Promise<RegisteredNode | undefined> {
  const rows = await db.all<NodeRow>(`SELECT ${columns} FROM dicom_node WHERE ae_title = $1 ORDER BY created_at, node_id`, [aeTitle])
  const row = rows.find(({ host }) => host === callerAddress) ?? rows[0]
  return row && nodeOf(row)
}

export async function nodesThatTakePushes(db: Queries): Promise<RegisteredNode[]> {
  return (await db.all<NodeRow>(`SELECT ${columns} FROM dicom_node WHERE forward_pushed = 1`)).map(nodeOf)
}

/** @throws {Problem} dimse/node-exists, dimse/other-region */
export async function addNode(tx: Transaction, node: DicomNode, now: EpochMs): Promise<RegisteredNode> {
  const id = randomUUID()
  await refuseTwoRegions(tx, id, node)
  await unlessTaken(node, () =>
    tx.run(
      `INSERT INTO dicom_node (node_id, ae_title, host, port, description, allowed, forward_pushed, region_id, created_at, updated_at,
        permissions, scope, labels, place, terms)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13, $14)`,
      [id, node.aeTitle, node.host, node.port, node.description, Number(node.allowed), Number(node.forwardPushed), node.regionId, now, ...stored(node)],
    ),
  )
  return { ...node, id }
}

/** @throws {Problem} dimse/unknown-node, dimse/node-exists, dimse/other-region */
export async function changeNode(tx: Transaction, id: string, node: DicomNode, now: EpochMs): Promise<RegisteredNode> {
  await refuseTwoRegions(tx, id, node)
  const changed = await unlessTaken(node, () =>
    tx.run(
      `UPDATE dicom_node SET ae_title = $2, host = $3, port = $4, description = $5, allowed = $6, forward_pushed = $7, region_id = $8, updated_at = $9,
        permissions = $10, scope = $11, labels = $12, place = $13, terms = $14 WHERE node_id = $1`,
      [id, node.aeTitle, node.host, node.port, node.description, Number(node.allowed), Number(node.forwardPushed), node.regionId, now, ...stored(node)],
    ),
  )
  if (changed === 0) throw new Problem('dimse/unknown-node', { id })
  return { ...node, id }
}

/** Takes its forwarding jobs along: there is nowhere left to send them. @throws {Problem} dimse/unknown-node */
export async function removeNode(tx: Transaction, id: string): Promise<void> {
  if ((await tx.run('DELETE FROM dicom_node WHERE node_id = $1', [id])) === 0) throw new Problem('dimse/unknown-node', { id })
  await tx.run('DELETE FROM dicom_forward WHERE node_id = $1', [id])
  await tx.run('DELETE FROM dicom_forward_done WHERE node_id = $1', [id])
}

/** A caller is known by its AE title alone, so several nodes of one title cannot send for different regions. */
async function refuseTwoRegions(tx: Transaction, id: string, { aeTitle, regionId }: DicomNode): Promise<void> {
  if (regionId === null) return
  const other = await tx.get<{ regionId: RegionId }>(
    'SELECT region_id AS "regionId" FROM dicom_node WHERE ae_title = $1 AND node_id <> $2 AND region_id <> $3',
    [aeTitle, id, regionId],
  )
  if (other) throw new Problem('dimse/other-region', { aeTitle, regionId: other.regionId })
}

async function unlessTaken<T>({ aeTitle, host, port }: DicomNode, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('dimse/node-exists', { aeTitle, host, port }, { cause: error })
    throw error
  }
}
