import { Buffer } from 'node:buffer'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { acceptedBy, covers } from './accept.ts'
import type { StudyAccess } from './study-source.ts'

const unzip = promisify(gunzip)
const zip = promisify(gzip)
const worthZipping = 8 * 1024

/** WADO-RS metadata (PS3.18 10.4.1.1.4) of a study, one of its series, or one instance. */
export async function sendMetadata(
  access: StudyAccess,
  request: Request,
  response: Response,
  seriesInstanceUid?: string,
  sopInstanceUid?: string,
): Promise<void> {
  const wanted = acceptedBy(request).some(
    ({ type, multipart }) => !multipart && (covers(type, 'application/dicom+json') || type === 'application/json'),
  )
  if (!wanted) throw new Problem('request/not-acceptable', { offered: ['application/dicom+json'] })
  if (seriesInstanceUid !== undefined && sopInstanceUid === undefined)
    return sendZipped(request, response, await access.metadata(seriesInstanceUid))
  if (seriesInstanceUid !== undefined && sopInstanceUid !== undefined)
    return sendJson(request, response, await instanceMetadata(access, seriesInstanceUid, sopInstanceUid))
  const arrays = []
  for (const series of await access.seriesList())
    arrays.push(String(await unzip(await access.metadata(series.seriesInstanceUid))).slice(1, -1))
  return sendJson(request, response, `[${arrays.filter((array) => array !== '').join(',')}]`)
}

async function instanceMetadata(access: StudyAccess, seriesInstanceUid: string, sopInstanceUid: string): Promise<string> {
  const all = JSON.parse(String(await unzip(await access.metadata(seriesInstanceUid)))) as JsonDataset[]
  const own = all.filter((dataset) => dataset['00080018']?.Value?.[0] === sopInstanceUid)
  if (own.length === 0) throw new Problem('archive/unknown-instance', { sopInstanceUid })
  return JSON.stringify(own)
}

const acceptsGzip = (request: Request): boolean => /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(request.get('accept-encoding') ?? '')

async function sendZipped(request: Request, response: Response, zipped: Buffer): Promise<void> {
  response.status(200).type('application/dicom+json').setHeader('Vary', 'Accept-Encoding')
  if (acceptsGzip(request)) response.setHeader('Content-Encoding', 'gzip').end(zipped)
  else response.end(await unzip(zipped))
}

async function sendJson(request: Request, response: Response, json: string): Promise<void> {
  response.status(200).type('application/dicom+json').setHeader('Vary', 'Accept-Encoding')
  if (acceptsGzip(request) && json.length > worthZipping) response.setHeader('Content-Encoding', 'gzip').end(await zip(json, { level: 1 }))
  else response.end(Buffer.from(json))
}
