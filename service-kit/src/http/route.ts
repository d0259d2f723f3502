import express, { type Request, type RequestHandler, type Response } from 'express'
import { isDeepStrictEqual } from 'node:util'
import { parseWith, Problem } from 'specs'
import type { z } from 'zod'
import type { Log } from '../log/index.ts'
import { admit } from './admit.ts'
import { refuseDeepJson } from './body-limits.ts'
import type { RateClasses } from './rate-classes.ts'
import { noteOfResponse } from './request-log.ts'
import type { Allow, Authenticator, SignedIn, User } from './user.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One door of the API: what it takes, who may use it, what it answers. The OpenAPI document is written from the same object. */
export interface RouteSpec<
  A extends Allow = Allow,
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
> {
  readonly method: Method
  /** As express 5 writes it: `/api/consults/:taskId`. */
  readonly path: string
  readonly summary: string
  readonly allow: A
  /** See Door in admit.ts. */
  readonly unfinished?: boolean
  readonly passive?: boolean
  readonly params?: P
  /** Query parameters arrive as text: use z.coerce for numbers. */
  readonly query?: Q
  readonly body?: B
  readonly answer?: z.ZodType
  /** Largest JSON body, 256 KiB unless told. */
  readonly maxBodyBytes?: number
  /** Requests of one address in this many seconds, for doors that could be tried with guesses. */
  readonly limit?: { readonly requests: number; readonly seconds: number }
}

export interface RouteContext<A extends Allow, P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  /** Always there unless the route allows `anyone`. */
  readonly user: A extends 'anyone' ? User | undefined : User
  /** Set together with `user`. */
  readonly sessionId: string | undefined
  /** How the visitor came in, for the few handlers that ask. */
  readonly signedIn: SignedIn | undefined
  readonly request: Request
  readonly response: Response
  /** Ends when the visitor goes away. */
  readonly signal: AbortSignal
}

export type RouteHandler<A extends Allow, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = (
  context: RouteContext<A, z.output<P>, z.output<Q>, z.output<B>>,
) => unknown

const DEFAULT_BODY_BYTES = 256 * 1024

export function jsonBody(spec: Pick<RouteSpec, 'maxBodyBytes'>): RequestHandler {
  return express.json({ limit: spec.maxBodyBytes ?? DEFAULT_BODY_BYTES, strict: false, inflate: false, verify: (_request, _response, bytes) => refuseDeepJson(bytes) })
}

/** Admits, parses, calls, answers. What the handler throws goes to problemAnswers. */
export function routeHandler<A extends Allow, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  spec: RouteSpec<A, P, Q, B>,
  handler: RouteHandler<A, P, Q, B>,
  edge: { log: Log; accounts: Authenticator | undefined; rates?: RateClasses },
): RequestHandler[] {
  const door: RequestHandler = async (request, response, next) => {
    const signedIn = await admit(request, spec, edge.accounts)
    const note = noteOfResponse(response)
    note.route = spec.path
    if (signedIn) note.userId = signedIn.user.id
    await edge.rates?.charge(spec, request, signedIn)
    admitted.set(request, signedIn)
    next()
  }
  const work: RequestHandler = async (request, response) => {
    const signedIn = admitted.get(request)
    const user = signedIn?.user as RouteContext<A, unknown, unknown, unknown>['user'] // admit() has refused whoever is missing
    const given = {
      params: parsed(spec.params, request.params, 'params') as z.output<P>,
      query: parsed(spec.query, request.query, 'query') as z.output<Q>,
      body: parsed(spec.body, request.body, 'body') as z.output<B>,
    }
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const result = await handler({ ...given, user, sessionId: signedIn?.sessionId, signedIn, request, response, signal: gone.signal })
    if (response.headersSent || response.destroyed) return
    sendAnswer(response, spec, result, edge.log)
  }
  // The body is read only after the door: strangers cannot make us parse megabytes.
  return spec.body === undefined ? [door, work] : [door, jsonBody(spec), work]
}

const admitted = new WeakMap<Request, Awaited<ReturnType<typeof admit>>>()

function parsed(schema: z.ZodType | undefined, value: unknown, what: string): unknown {
  return schema === undefined ? value : parseWith(schema, value, what)
}

/** A status other than 200 is answered as exactly `{ status, body }`; anything else is the body itself. */
export interface Answer {
  readonly status: number
  readonly body?: unknown
}

function isAnswer(result: unknown): result is Answer {
  if (typeof result !== 'object' || result === null || !('status' in result) || typeof result.status !== 'number') return false
  const keys = Object.keys(result).sort()
  return isDeepStrictEqual(keys, ['status']) || isDeepStrictEqual(keys, ['body', 'status'])
}

function sendAnswer(response: Response, spec: RouteSpec, result: unknown, log: Log): void {
  const { status, body } = isAnswer(result) ? result : { status: result === undefined ? 204 : 200, body: result }
  if (!response.hasHeader('Cache-Control')) response.set('Cache-Control', 'no-store') // answers may show a patient
  response.status(status)
  if (body === undefined) {
    response.end()
    return
  }
  const conforms = spec.answer?.safeParse(body)
  if (conforms && !conforms.success) {
    const issues = conforms.error.issues.slice(0, 5).map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }))
    log.error({ route: `${spec.method} ${spec.path}`, issues }, 'answer differs from its schema')
  }
  response.json(body)
}

/** For whatever reaches the end of the app. */
export const nothingHere: RequestHandler = (request) => {
  throw new Problem('request/not-found', { path: request.path })
}
