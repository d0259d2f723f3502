import type { Request } from 'express'
import { hasRight, type Database, type HttpFace, type User } from 'service-kit'
import { ImportFile, ImportFileOutcome, ImportRow, Page, Problem } from 'specs'
import { z } from 'zod'
import type { StudyAudience } from '../../access/study-audience.ts'
import type { Storing } from '../../dicomweb/study-source.ts'
import type { Importer } from './importer.ts'
import { listFiles, listImports } from './store.ts'

export interface ImportRoutes {
  readonly db: Database
  readonly importer: Importer
  /** Whether this person may store, and for each study whether there. */
  readonly storingFor: (user: User) => Promise<Storing>
  readonly audience: Pick<StudyAudience, 'ofStudy'>
}

const ImportId = z.object({ importId: z.uuid() })
const Named = z.object({ name: z.string().trim().min(1).max(300) })

/** 影像导入. Each person sees the own imports; whoever looks after the services sees all of them, without whose images they are. */
export function addImportRoutes(face: HttpFace, { db, importer, storingFor, audience }: ImportRoutes): void {
  const params = ImportId
  const mayAll = (user: User) => hasRight(user, 'system.configure') || hasRight(user, 'system.monitor')

  /** @throws {Problem} import/unknown, also for what is somebody else's. */
  async function rowFor(user: User, importId: string): Promise<ImportRow> {
    const [row] = await listImports(db, { id: importId, limit: 1 })
    if (!row || (row.userId !== user.id && !mayAll(user))) throw new Problem('import/unknown')
    return row
  }
  async function own(user: User, importId: string): Promise<ImportRow> {
    const [row] = await listImports(db, { id: importId, userId: user.id, limit: 1 })
    if (!row) throw new Problem('import/unknown')
    return row
  }
  const named = (request: Request) => {
    const [id, query] = [params.safeParse(request.params), Named.safeParse(request.query)]
    if (!id.success) throw new Problem('import/unknown')
    if (!query.success) throw new Problem('request/invalid', { what: 'query', issues: [{ path: 'name', message: 'missing' }] })
    return { importId: id.data.importId, name: query.data.name }
  }

  face.route(
    { method: 'POST', path: '/api/imports', summary: '导入影像 / Begin an import', allow: ['image.store'], body: z.object({ name: z.string().trim().min(1).max(100), files: z.number().int().min(0).max(1_000_000) }), answer: ImportRow },
    async ({ user, body }) => {
      const id = await importer.begin({ name: body.name, origin: 'upload', userId: user.id, startedBy: user.name, filesExpected: body.files, storing: await storingFor(user) })
      return { status: 201, body: await own(user, id) }
    },
  )
  face.raw({ method: 'PUT', path: '/api/imports/:importId/files', summary: 'One file, as it is', allow: ['image.store'], produces: 'application/json' }, async (request, response, user) => {
    const { importId, name } = named(request)
    await own(user, importId)
    const { outcome, sopInstanceUid, problem } = await importer.file(importId, name, request.iterator({ destroyOnReturn: false }))
    request.resume() // what was passed over without being read
    response.json({ outcome, sopInstanceUid, code: problem?.code ?? null })
  })
  face.raw({ method: 'PUT', path: '/api/imports/:importId/archive', summary: 'A ZIP file; it is read when it has arrived', allow: ['image.store'], produces: 'application/json' }, async (request, response, user) => {
    const { importId, name } = named(request)
    await own(user, importId)
    await importer.zip(importId, name, request)
    response.status(202).json({ accepted: true })
  })
  face.route({ method: 'POST', path: '/api/imports/:importId/finish', summary: 'Nothing more will be sent', allow: ['image.store'], params, answer: ImportRow }, async ({ user, params: { importId } }) => {
    const row = await own(user, importId)
    if (!importer.isOpen(importId)) return row
    await importer.finish(importId)
    return own(user, importId)
  })
  face.route({ method: 'POST', path: '/api/imports/:importId/cancel', summary: 'Break an import off; what is stored stays', allow: ['image.store'], params, answer: ImportRow }, async ({ user, params: { importId } }) => {
    await own(user, importId)
    await importer.cancel(importId)
    return own(user, importId)
  })
  face.route({ method: 'GET', path: '/api/imports', summary: 'Imports, newest first', allow: ['image.store', 'system.configure', 'system.monitor'], answer: z.array(ImportRow) }, async ({ user }) =>
    (await listImports(db, { ...(!mayAll(user) && { userId: user.id }), limit: 100 })).map(({ userId: _userId, ...row }) => row),
  )
  face.route(
    { method: 'GET', path: '/api/imports/:importId/files', summary: 'What became of each file', allow: ['image.store', 'system.configure', 'system.monitor'], params, query: z.object({ outcome: ImportFileOutcome.optional(), limit: z.coerce.number().int().min(1).max(500).default(100), after: z.coerce.number().int().min(0).optional() }), answer: Page(ImportFile) },
    async ({ user, params: { importId }, query }) => {
      await rowFor(user, importId)
      const page = await listFiles(db, importId, query)
      const may = new Map<string, boolean>()
      const rows: ImportFile[] = []
      for (const row of page.rows) {
        const study = row.studyInstanceUid
        const isListed = study === null || (may.get(study) ?? (await audience.ofStudy(study))(user))
        if (study !== null) may.set(study, isListed)
        rows.push(isListed ? row : { ...row, studyInstanceUid: null, sopInstanceUid: null })
      }
      return { ...page, rows }
    },
  )
}
