import type { Database, HttpFace } from 'service-kit'
import { Page, RefusalRow } from 'specs'
import { PageQuery } from '../page-query.ts'
import { listRefusals } from './list.ts'

export function refusalRoutes(face: HttpFace, db: Database): void {
  face.route(
    {
      method: 'GET',
      path: '/api/refusals',
      summary: 'What hub and nodes refused, newest first',
      allow: ['region.watch'],
      query: PageQuery,
      answer: Page(RefusalRow),
    },
    ({ query }) => listRefusals(db, query),
  )
}
