import { hasRight, type HttpFace, type User } from 'service-kit'
import { answers, NodeRefusalRow, Page, RefusalService, StudyInstanceUid } from 'specs'
import { z } from 'zod'
import { isAdministrator, type StudyAudience } from '../access/study-audience.ts'
import type { ExamKey } from '../access/register-facts.ts'
import type { Region } from '../region/region.ts'
import type { RefusalBook } from './refusal-book.ts'

const query = z.object({
  service: RefusalService.optional(),
  text: z.string().trim().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(200),
})
/** Newest refusals of the link that are looked through; the link keeps them itself, each with its text. */
const LINK_ROWS = 500

const named: ReadonlySet<string> = new Set(['examId', 'accessionNumber', 'patientId', 'taskId', 'grantId'])
/** A UID that some device made; those of the standard (PS3.6) name kinds of objects. */
const isOwnUid = (value: unknown): boolean => typeof value === 'string' && /^\d+(?:\.\d+){3,}$/.test(value) && !value.startsWith('1.2.840.10008.')
/** A fact of a problem that leads to one patient's exam. */
const isIdentifying = ([fact, value]: [string, unknown]): boolean => named.has(fact) || isOwnUid(value)

export interface RefusalRoutes {
  readonly book: RefusalBook
  readonly region: Region
  readonly audience: StudyAudience
  /** Whether anybody could have the study on a list: it is registered here, or a task names it. */
  readonly isKnown: (exam: ExamKey) => Promise<boolean>
}

/**
 * Everything this node did not let in: at the link to the region, at the DICOM port, by STOW-RS, when joining. For whoever looks after
 * services and devices, and whoever sends images. What names an exam is told to those who may have it on a list; of a study that is
 * known nowhere, because it never came in, to those who have to find the device that sent it.
 */
export function addRefusalRoutes(face: HttpFace, { book, region, audience, isKnown }: RefusalRoutes): void {
  async function shownTo(user: User, row: NodeRefusalRow): Promise<NodeRefusalRow> {
    const facts = Object.entries(row.facts)
    if (!facts.some(isIdentifying)) return row
    const { facts: { studyInstanceUid, what, uid } } = row // prettier-ignore
    const study = StudyInstanceUid.safeParse(studyInstanceUid ?? (what === 'StudyInstanceUID' ? uid : undefined)).data
    const isCaretaker = isAdministrator(user) || hasRight(user, 'device.watch')
    const mayKnow = study !== undefined && (await isKnown({ study })) ? (await audience.ofStudy(study))(user) : isCaretaker
    return mayKnow ? row : { ...row, facts: Object.fromEntries(facts.filter((fact) => !isIdentifying(fact))) }
  }
  face.route(
    {
      method: 'GET',
      path: '/api/refusals',
      summary: 'What was refused at this node, newest first',
      allow: ['system.configure', 'system.monitor', 'device.watch', 'image.store'],
      query,
      answer: Page(NodeRefusalRow),
    },
    async ({ user, query: { service, text, limit } }) => {
      const isWanted = service === undefined || service === 'link'
      const [edge, link] = [
        service === 'link' ? { rows: [], total: 0 } : await book.list({ service, text, limit }),
        isWanted ? await linkRefusals(region, text) : [],
      ]
      const own = edge.rows.map((row): NodeRefusalRow => ({ ...row, title: answers[row.code].zh, source: row.peer || row.address }))
      const newest = [...own, ...link].sort((a, b) => b.at - a.at).slice(0, limit)
      const rows = await Promise.all(newest.map((row) => shownTo(user, row)))
      return { rows, total: edge.total + link.length, next: null }
    },
  )
}

async function linkRefusals(region: Region, text: string | undefined): Promise<NodeRefusalRow[]> {
  const rows = (await region.link?.refusals({ limit: LINK_ROWS })) ?? []
  const named = rows.map(({ id, at, source, code, title, facts, subject }): NodeRefusalRow => ({
    id,
    at,
    firstAt: at,
    count: 1,
    service: 'link',
    source,
    peer: source,
    address: subject,
    code,
    title,
    facts,
  }))
  const part = text?.toLowerCase() ?? ''
  return named.filter(({ peer, address, code }) => [peer, address, code].some((word) => word.toLowerCase().includes(part)))
}
