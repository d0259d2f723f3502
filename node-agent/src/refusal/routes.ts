import type { HttpFace } from 'service-kit'
import { answers, NodeRefusalRow, Page, RefusalService } from 'specs'
import { z } from 'zod'
import type { Region } from '../region/region.ts'
import type { RefusalBook } from './refusal-book.ts'

const query = z.object({
  service: RefusalService.optional(),
  text: z.string().trim().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(200),
})
/** Newest refusals of the link that are looked through; the link keeps them itself, each with its text. */
const LINK_ROWS = 500

/** Everything this node did not let in: at the link to the region, at the DICOM port, by STOW-RS, when joining. */
export function addRefusalRoutes(face: HttpFace, { book, region }: { book: RefusalBook; region: Region }): void {
  face.route(
    {
      method: 'GET',
      path: '/api/refusals',
      summary: 'What was refused at this node, newest first',
      allow: 'signed-in',
      query,
      answer: Page(NodeRefusalRow),
    },
    async ({ query: { service, text, limit } }) => {
      const isWanted = service === undefined || service === 'link'
      const [edge, link] = [
        service === 'link' ? { rows: [], total: 0 } : await book.list({ service, text, limit }),
        isWanted ? await linkRefusals(region, text) : [],
      ]
      const own = edge.rows.map((row): NodeRefusalRow => ({ ...row, title: answers[row.code].zh, source: row.peer || row.address }))
      const rows = [...own, ...link].sort((a, b) => b.at - a.at).slice(0, limit)
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
