import type { HttpFace } from 'service-kit'
import { AskDocuments, DocumentAnswers } from 'specs'
import type { ImageDocuments } from './image-documents.ts'

/** 影像文档: single instances of a study that lies elsewhere, by their UIDs. */
export function addDocumentRoutes(face: HttpFace, documents: ImageDocuments): void {
  face.route(
    {
      method: 'POST',
      path: '/api/image-documents',
      summary: 'Fetch named instances of a study from the hospital that holds it; says of each whether it was given or why not (FED-27)',
      allow: ['image.view', 'consult.process', 'region.search'],
      body: AskDocuments,
      answer: DocumentAnswers,
      limit: { requests: 60, seconds: 60 },
    },
    ({ user, body }) => documents.retrieve(user, body),
  )
}
