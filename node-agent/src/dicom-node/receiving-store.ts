import { randomUUID } from 'node:crypto'
import { isUniqueViolation, type Migration, type Queries, type Transaction } from 'service-kit'
import { Problem, ReceivingNode, type EpochMs } from 'specs'

/** 接收节点 (FED-19); its id is given by us. */
export type OwnReceivingNode = ReceivingNode & { readonly id: string }

export const receivingNodeMigrations: readonly Migration[] = [
  {
    name: '0001-receiving-node',
    up: [
      `CREATE TABLE receiving_node (node_id TEXT PRIMARY KEY, ae_title TEXT NOT NULL UNIQUE, port INTEGER UNIQUE, node TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
    ],
  },
]

interface Row {
  readonly id: string
  readonly node: string
}
const nodeOf = ({ id, node }: Row): OwnReceivingNode => ({ ...ReceivingNode.parse(JSON.parse(node)), id })

export async function listReceivingNodes(db: Queries): Promise<OwnReceivingNode[]> {
  return (await db.all<Row>('SELECT node_id AS "id", node FROM receiving_node ORDER BY ae_title')).map(nodeOf)
}

/** @throws {Problem} dimse/unknown-receiving-node */
export async function readReceivingNode(db: Queries, id: string): Promise<OwnReceivingNode> {
  const row = await db.get<Row>('SELECT node_id AS "id", node FROM receiving_node WHERE node_id = $1', [id])
  if (!row) throw new Problem('dimse/unknown-receiving-node', { id })
  return nodeOf(row)
}

/** @throws {Problem} dimse/receiving-node-exists */
export async function addReceivingNode(tx: Transaction, node: ReceivingNode, now: EpochMs): Promise<OwnReceivingNode> {
  const id = randomUUID()
  await unlessTaken(node, () =>
    tx.run('INSERT INTO receiving_node (node_id, ae_title, port, node, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)', [id, node.aeTitle, node.port, JSON.stringify(node), now]),
  )
  return { ...node, id }
}

/** Its AE title stays: by it studies know where they came. @throws {Problem} dimse/unknown-receiving-node, dimse/receiving-node-exists */
export async function changeReceivingNode(tx: Transaction, id: string, node: ReceivingNode, now: EpochMs): Promise<OwnReceivingNode> {
  const { aeTitle } = await readReceivingNode(tx, id)
  const kept = { ...node, aeTitle }
  await unlessTaken(kept, () => tx.run('UPDATE receiving_node SET port = $2, node = $3, updated_at = $4 WHERE node_id = $1', [id, kept.port, JSON.stringify(kept), now]))
  return { ...kept, id }
}

/** Its studies stay, and know where they came. @throws {Problem} dimse/unknown-receiving-node */
export async function removeReceivingNode(tx: Transaction, id: string): Promise<void> {
  if ((await tx.run('DELETE FROM receiving_node WHERE node_id = $1', [id])) === 0) throw new Problem('dimse/unknown-receiving-node', { id })
}

async function unlessTaken<T>({ aeTitle, port }: ReceivingNode, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('dimse/receiving-node-exists', { aeTitle, port }, { cause: error })
    throw error
  }
}
