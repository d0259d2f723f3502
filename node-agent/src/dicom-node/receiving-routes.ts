import type { AuditTrail, Database, HttpFace, Transaction } from 'service-kit'
import { Page, Problem, ReceivingNode, ReceivingNodeRow } from 'specs'
import { z } from 'zod'
import type { AccessControl } from '../access/access-control.ts'
import type { ExamRegister } from '../access/register-facts.ts'
import type { Archive } from '../archive/archive.ts'
import type { DicomPorts } from './dicom-ports.ts'
import { addReceivingNode, changeReceivingNode, readReceivingNode, removeReceivingNode, type OwnReceivingNode } from './receiving-store.ts'

export interface ReceivingRoutes {
  readonly db: Database
  readonly audit: AuditTrail
  readonly access: AccessControl
  readonly register: ExamRegister
  readonly inHospital: Archive
  readonly regional: Archive
  /** Of the node itself: no receiving node is called so, or listens there. */
  readonly own: { readonly aeTitle: string; readonly ports: () => readonly number[] }
  readonly ports: () => DicomPorts | undefined
  readonly now?: () => number
}

const administrators = ['system.configure'] as const
const caretakers = ['system.configure', 'device.watch'] as const
const Params = z.object({ id: z.string().max(64) })

/** A study as the list of a receiving node shows it: no patient in it, the study's own page has that. */
const ReceivedStudy = z.object({
  studyInstanceUid: z.string(),
  hospitalId: z.string(),
  archive: z.enum(['in-hospital', 'regional']),
  accessionNumber: z.string(),
  studyDate: z.string(),
  modalities: z.array(z.string()),
  instances: z.number().int(),
  receivedAt: z.number().int(),
})

/** 接收节点 (FED-19): what there is, added, changed and removed while the node runs, and what came at each. */
export function addReceivingRoutes(face: HttpFace, parts: ReceivingRoutes): void {
  const { db, audit, access, register, inHospital, regional, own, ports, now = Date.now } = parts
  const tell = (tx: Transaction, id: string, before: unknown, after: unknown) =>
    audit.within(tx, { action: 'config.receiving-node', outcome: 'success', object: { type: 'dicom-node', id }, before, after })
  const requireFree = ({ aeTitle, port }: ReceivingNode) => {
    if (aeTitle === own.aeTitle || (port !== null && own.ports().includes(port))) throw new Problem('dimse/receiving-node-exists', { aeTitle, port })
  }
  async function rowsOf(nodes: readonly OwnReceivingNode[]): Promise<ReceivingNodeRow[]> {
    const here = await inHospital.studiesByReceiver()
    const there = await regional.studiesByReceiver().catch(() => new Map<string, number>()) // as long as it cannot be opened
    return nodes.map((node) => {
      const state = ports()?.stateOf(node) ?? { listening: false, problem: null }
      return { ...node, ...state, studies: (here.get(node.aeTitle) ?? 0) + (there.get(node.aeTitle) ?? 0) }
    })
  }
  const rowOf = async (node: OwnReceivingNode): Promise<ReceivingNodeRow> => {
    await ports()?.look()
    return (await rowsOf([node]))[0]!
  }

  face.route(
    { method: 'GET', path: '/api/receiving-nodes', summary: '接收节点 / Receiving nodes of single submitters', allow: caretakers, answer: z.array(ReceivingNodeRow) },
    async () => rowsOf(ports()?.nodes ?? []),
  )
  face.route(
    { method: 'POST', path: '/api/receiving-nodes', summary: 'Add a receiving node; it can be called at once', allow: administrators, body: ReceivingNode, answer: ReceivingNodeRow },
    async ({ body }) => {
      requireFree(body)
      const node = await db.write(async (tx) => {
        const added = await addReceivingNode(tx, body, now())
        await tell(tx, added.id, undefined, added)
        return added
      })
      return { status: 201, body: await rowOf(node) }
    },
  )
  face.route(
    { method: 'PUT', path: '/api/receiving-nodes/:id', summary: 'Change a receiving node; its AE title stays', allow: administrators, params: Params, body: ReceivingNode, answer: ReceivingNodeRow },
    async ({ params: { id }, body }) => {
      requireFree(body)
      const node = await db.write(async (tx) => {
        const before = await readReceivingNode(tx, id)
        const changed = await changeReceivingNode(tx, id, body, now())
        await tell(tx, id, before, changed)
        return changed
      })
      return rowOf(node)
    },
  )
  face.route(
    { method: 'DELETE', path: '/api/receiving-nodes/:id', summary: 'Remove a receiving node; what came there stays', allow: administrators, params: Params },
    async ({ params: { id } }) => {
      await db.write(async (tx) => {
        const before = await readReceivingNode(tx, id)
        await removeReceivingNode(tx, id)
        await tell(tx, id, before, undefined)
      })
      await ports()?.look()
      return { status: 204 }
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/receiving-nodes/:id/studies',
      summary: 'Studies that came at a receiving node, newest study date first',
      allow: ['exam.list'],
      params: Params,
      query: z.object({ limit: z.coerce.number().int().min(1).max(200).default(50), after: z.coerce.number().int().min(0).max(100_000).default(0) }),
      answer: Page(ReceivedStudy).omit({ total: true }),
    },
    async ({ user, params: { id }, query: { limit, after } }) => {
      const node = await readReceivingNode(db, id)
      await access.admitUser(user, 'list', { owner: access.hospitalId, kept: 'in-hospital' })
      const foreign = node.hospitalId !== null && node.hospitalId !== access.hospitalId
      const archive = foreign ? regional : inHospital
      const found = await archive.studies({ receivingNode: node.aeTitle, limit, offset: after })
      const uids = found.map(({ studyInstanceUid }) => studyInstanceUid)
      const seen = new Set(foreign ? [] : await register.permitted(uids, access.conditionFor(user, 'list')))
      if (foreign) for (const { studyInstanceUid: study, hospitalId: owner } of found) if (await access.mayUser(user, 'list', { owner, study, kept: 'regional' })) seen.add(study)
      const rows = found.filter(({ studyInstanceUid }) => seen.has(studyInstanceUid)).map((study) => ({
        studyInstanceUid: study.studyInstanceUid, hospitalId: study.hospitalId, archive: archive.name, accessionNumber: study.accessionNumber, studyDate: study.studyDate,
        modalities: [...study.modalitiesInStudy], instances: study.instanceCount, receivedAt: study.receivedAt,
      })) // prettier-ignore
      return { rows, next: found.length === limit ? String(after + limit) : null }
    },
  )
}
