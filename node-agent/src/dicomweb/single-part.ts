import type { Readable } from 'node:stream'
import type { Request, Response } from 'express'
import { drained } from './multipart-writer.ts'

/** Bytes that are the whole answer. */
export interface SinglePart {
  readonly contentType: string
  /** Changes with the bytes; absent when they are made anew each time. */
  readonly etag?: string
  /** Absent when it is not known beforehand; then there are no ranges. */
  readonly sizeBytes?: number | undefined
  stream(range?: { readonly start: number; readonly end: number }): Readable | AsyncIterable<Uint8Array>
}

/** One range of bytes, its end exclusive; `unsatisfiable` when it lies behind the end; undefined for what is answered whole (RFC 9110 14.2). */
export function rangeOf(header: string | undefined, sizeBytes: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  const parts = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '')
  if (!parts || (parts[1] === '' && parts[2] === '')) return undefined
  const [, first = '', last = ''] = parts
  if (first === '') return Number(last) === 0 ? 'unsatisfiable' : { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes }
  const start = Number(first)
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  if (last !== '' && Number(last) < start) return undefined
  return start >= sizeBytes ? 'unsatisfiable' : { start, end }
}

/** Whether what the asker holds is still this (RFC 9110 13.1.2). */
export function isHeld(request: Request, etag: string): boolean {
  const held = request.get('if-none-match')
  return held !== undefined && (held.trim() === '*' || held.split(',').some((each) => each.trim().replace(/^W\//, '') === etag))
}

/** Answers HEAD, If-None-Match and Range as they ask, and never more than the reader takes. */
export async function sendSinglePart(request: Request, response: Response, { contentType, etag, sizeBytes, stream }: SinglePart): Promise<void> {
  response.setHeader('Content-Type', contentType)
  if (etag !== undefined) response.setHeader('ETag', etag)
  if (etag !== undefined && isHeld(request, etag)) return void response.status(304).end()
  if (sizeBytes === undefined) return pour(request, response, () => stream())
  response.setHeader('Accept-Ranges', 'bytes')
  const ifRange = request.get('if-range')
  const range = ifRange === undefined || ifRange === etag ? rangeOf(request.get('range'), sizeBytes) : undefined
  if (range === 'unsatisfiable') return void response.status(416).setHeader('Content-Range', `bytes */${sizeBytes}`).end()
  response.setHeader('Content-Length', range ? range.end - range.start : sizeBytes)
  if (range) response.status(206).setHeader('Content-Range', `bytes ${range.start}-${range.end - 1}/${sizeBytes}`)
  await pour(request, response, () => stream(range))
}

async function pour(request: Request, response: Response, open: () => Readable | AsyncIterable<Uint8Array>): Promise<void> {
  if (request.method === 'HEAD') return void response.end()
  for await (const chunk of open() as AsyncIterable<Uint8Array>) {
    if (response.destroyed) return
    if (!response.write(chunk)) await drained(response)
  }
  response.end()
}
