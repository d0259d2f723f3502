import type { AuditTrail, Database, HttpFace, Log, Outbound, Transaction } from 'service-kit'
import { DicomNode, EchoResult, Problem, type RegionId } from 'specs'
import { z } from 'zod'
import type { PeerGate } from '../dimse/peer-gate.ts'
import { echo } from '../dimse/scu.ts'
import { addNode, changeNode, listNodes, readNode, removeNode } from './store.ts'

export interface DicomNodeRoutes {
  readonly db: Database
  readonly audit?: AuditTrail
  /** Who we are when we call. */
  readonly callingAeTitle: string
  /** Regions this hospital has joined: a node may send for one of them (FED-20). */
  readonly isMemberOf: (regionId: RegionId) => boolean
  /** The gate for outbound addresses: judged when entered, and again at every connection. */
  readonly outbound?: Outbound
  readonly gate?: PeerGate
  readonly log: Log
  readonly now?: () => number
}

const Registered = DicomNode.extend({ id: z.string() })
const NodeId = z.object({ id: z.string().max(64) })

const administrators = ['system.configure'] as const
/** Technicians look after the devices: they may see and test, not change. */
const caretakers = ['system.configure', 'device.watch'] as const

/** The hospital's DICOM nodes (FED-15): list, registration, echo. */
export function addDicomNodeRoutes(
  face: HttpFace,
  { db, callingAeTitle, isMemberOf, audit, outbound, gate, log, now = Date.now }: DicomNodeRoutes,
): void {
  const tell = async (tx: Transaction, id: string, before: unknown, after: unknown) =>
    audit?.within(tx, { action: 'config.dicom-node', outcome: 'success', object: { type: 'dicom-node', id }, before, after })
  const requireMember = ({ regionId }: DicomNode) => {
    if (regionId !== null && !isMemberOf(regionId)) throw new Problem('region/not-joined', { regionId })
  }
  face.route(
    { method: 'GET', path: '/api/dicom-nodes', summary: 'DICOM 节点 / DICOM nodes', allow: caretakers, answer: z.array(Registered) },
    () => listNodes(db),
  )

  face.route(
    {
      method: 'POST',
      path: '/api/dicom-nodes',
      summary: 'Register a DICOM node',
      allow: administrators,
      body: DicomNode,
      answer: Registered,
    },
    async ({ body, user }) => {
      requireMember(body)
      await outbound?.check('dicom-node', body.host)
      const node = await db.write(async (tx) => {
        const added = await addNode(tx, body, now())
        await tell(tx, added.id, undefined, added)
        return added
      })
      log.info({ nodeId: node.id, aeTitle: node.aeTitle, userId: user.id }, 'DICOM node registered')
      return { status: 201, body: node }
    },
  )

  face.route(
    {
      method: 'PUT',
      path: '/api/dicom-nodes/:id',
      summary: 'Change a DICOM node',
      allow: administrators,
      params: NodeId,
      body: DicomNode,
      answer: Registered,
    },
    async ({ params, body, user }) => {
      requireMember(body)
      await outbound?.check('dicom-node', body.host)
      const node = await db.write(async (tx) => {
        const before = await readNode(tx, params.id)
        const changed = await changeNode(tx, params.id, body, now())
        await tell(tx, params.id, before, changed)
        return changed
      })
      log.info({ nodeId: node.id, aeTitle: node.aeTitle, userId: user.id }, 'DICOM node changed')
      return node
    },
  )

  face.route(
    {
      method: 'DELETE',
      path: '/api/dicom-nodes/:id',
      summary: 'Remove a DICOM node and its forwarding jobs',
      allow: administrators,
      params: NodeId,
    },
    async ({ params, user }) => {
      await db.write(async (tx) => {
        const before = await readNode(tx, params.id)
        await removeNode(tx, params.id)
        await tell(tx, params.id, before, undefined)
      })
      log.info({ nodeId: params.id, userId: user.id }, 'DICOM node removed')
      return { status: 204 }
    },
  )

  face.route(
    {
      method: 'POST',
      path: '/api/dicom-nodes/:id/echo',
      summary: 'C-ECHO: whether the node answers',
      allow: caretakers,
      params: NodeId,
      answer: EchoResult,
      limit: { requests: 60, seconds: 60 },
    },
    async ({ params }) => echo(await readNode(db, params.id), { callingAeTitle, log, ...(gate && { addressOf: gate }) }),
  )
}
