import type { ErrorRequestHandler, Response } from 'express'
import { Problem, problemDetails } from 'specs'
import { DatabaseError } from '../database/index.ts'
import type { Log } from '../log/index.ts'
import { requestIdOf } from './request-log.ts'

/** Every error leaves as problem details (RFC 9457). A bug says nothing but its request id; the log has the rest. */
export function problemAnswers(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const problem = problemOf(error)
    const requestId = requestIdOf(response)
    if (problem === undefined || problem.answer.http >= 500) {
      log.error({ err: error, requestId, method: request.method, path: request.path }, 'request failed')
    }
    if (response.headersSent) {
      // The answer has begun: the only honest end is a broken connection.
      response.destroy()
      return
    }
    if (response.destroyed) return next()
    sendProblem(response, problem ?? new Problem('service/internal', { requestId }))
  }
}

export function sendProblem(response: Response, problem: Problem): void {
  const retryAfter = problem.facts['retryAfterSeconds']
  if (typeof retryAfter === 'number') response.set('Retry-After', String(retryAfter))
  if (problem.answer.http === 401) response.set('WWW-Authenticate', 'Bearer realm="lianpian"')
  response
    .status(problem.answer.http)
    .set('Cache-Control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(problemDetails(problem)))
}

/** What is not a Problem but not a bug either: bodies that express could not read, a full or absent database. */
function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error
  if (error instanceof DatabaseError) {
    if (error.kind === 'full') return new Problem('archive/out-of-space', {}, { cause: error })
    if (error.kind === 'unavailable' || error.kind === 'busy') return new Problem('service/unavailable', {}, { cause: error })
    return undefined
  }
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number' || error.status >= 500) return undefined
  const reason = 'type' in error && typeof error.type === 'string' ? error.type : error.name
  if (error.status === 413) return new Problem('request/too-large', 'limit' in error ? { limitBytes: error.limit } : {}, { cause: error })
  if (error.status === 404) return new Problem('request/not-found', {}, { cause: error })
  return new Problem('request/invalid', { what: 'request', reason }, { cause: error })
}
