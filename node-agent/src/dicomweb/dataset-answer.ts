import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { deflate, gunzip, gzip } from 'node:zlib'
import type { Request, Response } from 'express'
import { Problem } from 'specs'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { acceptedBy, covers } from './accept.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { nativeXml } from './native-xml.ts'
import { isHeld } from './single-part.ts'

const unzip = promisify(gunzip)
const zip = promisify(gzip)
const pack = promisify(deflate)

const json = 'application/dicom+json'
const xml = 'application/dicom+xml'
const worthZipping = 8 * 1024

/** Datasets on their way out: as text, or as the gzip of it that lies ready. */
export type Datasets = { readonly json: string } | { readonly zipped: Buffer }

/** @throws {Problem} request/not-acceptable */
export function chooseDatasetForm(request: Request): typeof json | typeof xml {
  for (const { type, multipart } of acceptedBy(request)) {
    // As XML every dataset is a part of its own (PS3.18 8.7.3.2).
    if (multipart ? covers(type, xml) && type !== '*/*' : type === xml) return xml
    if (!multipart && (covers(type, json) || type === 'application/json')) return json
  }
  throw new Problem('request/not-acceptable', { offered: [json, `multipart/related; type="${xml}"`] })
}

/** Metadata and results of searches: DICOM JSON or Native DICOM Model XML, in the coding that the asker takes. Text is UTF-8 whatever the images are in. */
export async function sendDatasets(request: Request, response: Response, datasets: Datasets): Promise<void> {
  if (chooseDatasetForm(request) === xml) return sendXml(request, response, JSON.parse(await textOf(datasets)) as JsonDataset[])
  response.status(200).setHeader('Content-Type', json).setHeader('Vary', 'Accept, Accept-Encoding')
  const etag = `"${createHash('sha256').update('zipped' in datasets ? datasets.zipped : datasets.json).digest('base64url').slice(0, 27)}"`
  response.setHeader('ETag', etag)
  if (isHeld(request, etag)) return void response.status(304).end()
  const isLarge = 'zipped' in datasets || datasets.json.length > worthZipping
  const takes = (coding: string) => takesCoding(request.get('accept-encoding') ?? '', coding)
  if (isLarge && takes('gzip')) {
    response.setHeader('Content-Encoding', 'gzip').end('zipped' in datasets ? datasets.zipped : await zip(datasets.json, { level: 1 }))
  } else if (isLarge && takes('deflate')) {
    response.setHeader('Content-Encoding', 'deflate').end(await pack(await textOf(datasets), { level: 1 }))
  } else response.end('zipped' in datasets ? await unzip(datasets.zipped) : Buffer.from(datasets.json))
}

const textOf = async (datasets: Datasets): Promise<string> => ('zipped' in datasets ? String(await unzip(datasets.zipped)) : datasets.json)

const takesCoding = (header: string, coding: string): boolean => new RegExp(`\\b${coding}\\b(?!\\s*;\\s*q=0(?:\\.0*)?(?:,|$))`).test(header)

async function sendXml(request: Request, response: Response, datasets: readonly JsonDataset[]): Promise<void> {
  // A multipart answer has at least one part; nothing found is no content (PS3.18 8.6.1).
  if (datasets.length === 0) return void response.status(204).end()
  const writer = new MultipartWriter(response, xml)
  if (request.method === 'HEAD') return writer.head()
  for (const dataset of datasets) {
    const body = Buffer.from(nativeXml(dataset))
    await writer.part(`${xml}; charset=utf-8`, String(dataset['00081190']?.Value?.[0] ?? '/dicom-web/studies'), body, body.length)
  }
  await writer.end()
}
