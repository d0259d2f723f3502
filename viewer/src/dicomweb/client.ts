import { api as dicomweb } from 'dicomweb-client'
import { ApiProblem } from 'page-kit'
import type { Dataset } from './dataset.ts'
import { detailsOfAnswer } from '../problem/answer-details.ts'

/** What the viewer asks of a DICOMweb archive; images themselves go through Cornerstone's loader. */
export interface DicomWeb {
  readonly root: string
  /** QIDO-RS, one dataset per series. */
  listSeries(studyInstanceUid: string): Promise<readonly Dataset[]>
  /** WADO-RS metadata, one dataset per instance, without pixels. */
  seriesMetadata(studyInstanceUid: string, seriesInstanceUid: string): Promise<readonly Dataset[]>
}

/** @param root Address of the service, for instance `/dicom-web`, same origin: the session cookie goes along. */
export function connectDicomWeb(root: string): DicomWeb {
  const client = new dicomweb.DICOMwebClient({ url: new URL(root, location.href).href, singlepart: 'all', verbose: false })
  return {
    root: new URL(root, location.href).href,
    listSeries: (studyInstanceUid) =>
      answered(Promise.resolve(client.searchForSeries({ studyInstanceUID: studyInstanceUid, queryParams: { includefield: 'all' } }))),
    seriesMetadata: (studyInstanceUid, seriesInstanceUid) =>
      answered(
        Promise.resolve(
          client.retrieveSeriesMetadata({ studyInstanceUID: studyInstanceUid, seriesInstanceUID: seriesInstanceUid, request: {} }),
        ),
      ),
  }
}

async function answered(request: Promise<unknown>): Promise<readonly Dataset[]> {
  const answer = await request.catch((error: unknown) => {
    throw problemOf(error)
  })
  return Array.isArray(answer) ? answer : []
}

/** dicomweb-client rejects with an Error that carries the answer's status and body. */
function problemOf(error: unknown): ApiProblem {
  const fields = typeof error === 'object' && error !== null ? error : {}
  const status = 'status' in fields && typeof fields.status === 'number' ? fields.status : 0
  return Object.assign(new ApiProblem(detailsOfAnswer(status, 'response' in fields ? fields.response : undefined)), { cause: error })
}
