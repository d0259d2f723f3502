import type { HttpFace } from 'service-kit'
import { ExportProject, ExportRequest, ExportRow, Page, Problem, Reidentification, Reidentified } from 'specs'
import { z } from 'zod'
import type { ExportDesk } from './export-desk.ts'

/** 导出影像 and what follows from it. Each person sees the own exports only. */
export function addExportRoutes(face: HttpFace, desk: ExportDesk): void {
  const params = z.object({ exportId: z.uuid() })
  const page = <T>(rows: T[]) => ({ rows, total: rows.length, next: null })
  face.route({ method: 'POST', path: '/api/exports', summary: 'Ask for images of an exam as files: decides what may leave, and keeps purpose and reason', allow: ['image.export'], body: ExportRequest, answer: ExportRow }, async ({ user, body }) => ({
    status: 201,
    body: await desk.prepare(user, body),
  }))
  face.route({ method: 'GET', path: '/api/exports', summary: 'Own exports, newest first', allow: ['image.export'], answer: Page(ExportRow) }, async ({ user }) => page(await desk.list(user)))
  face.route({ method: 'GET', path: '/api/exports/:exportId', summary: 'How far an export is', allow: ['image.export'], params, answer: ExportRow }, ({ user, params: { exportId } }) => desk.row(user, exportId))
  face.route({ method: 'POST', path: '/api/exports/:exportId/cancel', summary: 'End an export', allow: ['image.export'], params, answer: ExportRow }, ({ user, params: { exportId } }) => desk.cancel(user, exportId))
  face.raw({ method: 'GET', path: '/api/exports/:exportId/file', summary: 'The package, made while it flows', allow: ['image.export'], produces: 'application/zip' }, (request, response, user, signedIn) => {
    const { success, data } = params.safeParse(request.params)
    if (!success) throw new Problem('export/unknown')
    return desk.download(user, signedIn?.sessionId ?? '', data.exportId, response)
  })
  face.route({ method: 'GET', path: '/api/export-projects', summary: 'Projects whose exports name patients alike', allow: ['image.export', 'patient.reidentify'], answer: Page(ExportProject) }, async () => page(await desk.projects()))
  face.route(
    { method: 'POST', path: '/api/export-projects/:projectId/reidentify', summary: 'Who a pseudonym stands for', allow: ['patient.reidentify'], params: z.object({ projectId: z.uuid() }), body: Reidentification, answer: Reidentified, limit: { requests: 60, seconds: 60 } },
    ({ params: { projectId }, body: { pseudonym, reason } }) => desk.reidentify(projectId, pseudonym, reason),
  )
}
