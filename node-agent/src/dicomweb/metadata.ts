import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { chooseDatasetForm, sendDatasets } from './dataset-answer.ts'
import type { StudyAccess } from './study-source.ts'

const unzip = promisify(gunzip)

/** WADO-RS metadata (PS3.18 10.4.1.1.4) of a study, one of its series, or one instance. */
export async function sendMetadata(
  access: StudyAccess,
  request: Request,
  response: Response,
  seriesInstanceUid?: string,
  sopInstanceUid?: string,
): Promise<void> {
  chooseDatasetForm(request) // before anything is read
  if (seriesInstanceUid !== undefined && sopInstanceUid === undefined)
    return sendDatasets(request, response, { zipped: await access.metadata(seriesInstanceUid) })
  if (seriesInstanceUid !== undefined && sopInstanceUid !== undefined)
    return sendDatasets(request, response, { json: await instanceMetadata(access, seriesInstanceUid, sopInstanceUid) })
  const arrays = []
  for (const series of await access.seriesList())
    arrays.push(String(await unzip(await access.metadata(series.seriesInstanceUid))).slice(1, -1))
  return sendDatasets(request, response, { json: `[${arrays.filter((array) => array !== '').join(',')}]` })
}

async function instanceMetadata(access: StudyAccess, seriesInstanceUid: string, sopInstanceUid: string): Promise<string> {
  const all = JSON.parse(String(await unzip(await access.metadata(seriesInstanceUid)))) as JsonDataset[]
  const own = all.filter((dataset) => dataset['00080018']?.Value?.[0] === sopInstanceUid)
  if (own.length === 0) throw new Problem('archive/unknown-instance', { sopInstanceUid })
  return JSON.stringify(own)
}
