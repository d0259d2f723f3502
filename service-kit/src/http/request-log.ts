import { randomUUID } from 'node:crypto'
import type { RequestHandler, Response } from 'express'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'

/** What a route leaves for the line in the log. */
export interface RequestNote {
  readonly requestId: string
  /** The path as declared, so that figures have few labels. */
  route?: string
  userId?: string
  /** Image and page requests come in thousands: their success is told only at level debug. */
  quiet?: boolean
}

const notes = new WeakMap<Response, RequestNote>()

export function noteOfResponse(response: Response): RequestNote {
  const note = notes.get(response)
  if (note === undefined) throw new Error('the response did not pass requestLog')
  return note
}

export const requestIdOf = (response: Response): string => noteOfResponse(response).requestId

/**
 * Gives every request an id, logs its end and counts it. The query string stays out of the log: names and birth dates are searched there.
 * @param trustProxy Whether the id that a reverse proxy gave is kept.
 */
export function requestLog(log: Log, metrics: Metrics, trustProxy: boolean): RequestHandler {
  const durations = metrics.histogram('lianpian_http_request_seconds', 'Duration of HTTP requests', ['method', 'route', 'status'])
  return (request, response, next) => {
    const began = performance.now()
    const { path } = request // express shortens it while a request is inside a mounted part
    const address = request.ip // gone with the socket when a reader broke off
    const given = trustProxy ? request.get('x-request-id') : undefined
    const note: RequestNote = { requestId: given !== undefined && /^[\w-]{8,64}$/.test(given) ? given : randomUUID() }
    notes.set(response, note)
    response.set('X-Request-Id', note.requestId)
    response.once('close', () => {
      const milliseconds = Math.round(performance.now() - began)
      const status = response.writableFinished ? response.statusCode : 499 // the visitor went away, as nginx writes it
      durations.observe({ method: request.method, route: note.route ?? 'none', status: String(status) }, milliseconds / 1000)
      const line = {
        requestId: note.requestId,
        method: request.method,
        path,
        status,
        milliseconds,
        address,
        userId: note.userId,
      }
      if (status >= 400 || !note.quiet) log.info(line, 'request')
      else log.debug(line, 'request')
    })
    next()
  }
}
