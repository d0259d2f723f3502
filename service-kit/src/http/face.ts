import { setTimeout as delay } from 'node:timers/promises'
import express, { type Express, type Request, type RequestHandler, type Response } from 'express'
import type { z } from 'zod'
import { Problem } from 'specs'
import type { Accounts } from '../account/index.ts'
import { auditRefusals, auditRequests, refuseUnaudited, rememberingActor } from '../audit/http.ts'
import type { AuditTrail } from '../audit/trail.ts'
import type { Log } from '../log/index.ts'
import type { Metrics } from '../metrics/index.ts'
import { admit } from './admit.ts'
import { guardBodies, type BodyLimits } from './body-limits.ts'
import { usualLimits, type HttpLimits } from './config.ts'
import { limitConnections } from './connections.ts'
import { logConnections } from './connection-log.ts'
import { Health, HealthReport, type HealthCheck } from './health.ts'
import { closeServer, listen, type ListenOptions, type Server } from './listen.ts'
import { LiveEvents, type LiveEventsOptions } from './live-events.ts'
import { openApiDocument, type DescribedRoute } from './openapi.ts'
import { pages } from './pages.ts'
import { problemAnswers } from './problem-answer.ts'
import { RateClasses } from './rate-classes.ts'
import { rateLimit } from './rate-limit.ts'
import { noteOfResponse, requestIdOf, requestLog } from './request-log.ts'
import { nothingHere, routeHandler, type Method, type RouteHandler, type RouteSpec } from './route.ts'
import { securityHeaders } from './security-headers.ts'
import { signedBodies } from './signed-body.ts'
import type { Allow, Authenticator, SignedIn, User } from './user.ts'

export interface HttpFaceOptions {
  readonly name: string
  readonly version: string
  readonly log: Log
  readonly metrics: Metrics
  /** Adds /api/sessions and /api/events; without it only `anyone` is ever admitted. */
  readonly accounts?: Accounts
  /** Hears of every refusal and fault at a door; while it cannot be written, privileged acts are refused. */
  readonly audit?: AuditTrail
  /** Reverse proxies in front: one (`true`), their number or addresses, as express takes it. Only then are forwarded addresses believed. */
  readonly trustProxy?: boolean | number | string
  /** What one visitor may use; see httpSettings for the usual figures. */
  readonly limits?: HttpLimits
  /** For tests that do not want to wait. */
  readonly bodies?: Partial<BodyLimits>
  readonly events?: Partial<LiveEventsOptions>
  /** How long running requests may take after close(). */
  readonly closeDeadlineMs?: number
}

/** A door whose request and answer are not JSON: DICOMweb, WADO, uploads, streams. The handler reads the body itself. */
export interface RawSpec<A extends Allow = Allow> {
  readonly method: Method
  readonly path: string
  readonly summary: string
  readonly allow: A
  /** See Door in admit.ts. */
  readonly unfinished?: boolean
  readonly passive?: boolean
  /** Media type of the answer, for the OpenAPI document. */
  readonly produces?: string
  /** Parameters that the handler reads, for the OpenAPI document. */
  readonly query?: z.ZodType
}

export type RawHandler<A extends Allow> = (
  request: Request,
  response: Response,
  user: A extends 'anyone' ? User | undefined : User,
  signedIn: SignedIn | undefined,
) => Promise<void> | void

/** What a service shows over HTTP. Order matters as in express: routes before pages that could swallow them. */
export class HttpFace {
  readonly health: Health
  readonly events: LiveEvents
  readonly log: Log
  readonly #app: Express
  readonly #options: HttpFaceOptions
  readonly #accounts: Authenticator | undefined
  readonly #routes: DescribedRoute[] = []
  readonly #methods = new Map<string, Set<Method>>()
  #described: { readonly doors: number; readonly document: unknown } | undefined
  readonly #limits: HttpLimits
  readonly #rates: RateClasses
  #server: Server | undefined

  constructor(options: HttpFaceOptions) {
    const { log, metrics, accounts, trustProxy = false, limits = usualLimits() } = options
    this.#options = options
    this.#limits = limits
    this.#rates = new RateClasses(limits)
    this.#accounts = accounts && rememberingActor(accounts)
    this.health = new Health(options, log)
    this.log = log
    this.events = new LiveEvents(options.events)
    this.#app = express()
    this.#app.disable('x-powered-by')
    // `true` would believe the first address of a list that the visitor may have begun.
    this.#app.set('trust proxy', trustProxy === true ? 1 : trustProxy)
    this.#app.set('etag', false)
    this.#app.use((_request, response, next) => {
      if (this.health.isStopping) response.set('Connection', 'close')
      next()
    })
    this.#app.use(signedBodies) // before anything that waits
    this.#app.use(requestLog(log, metrics, trustProxy !== false), auditRequests(requestIdOf), securityHeaders(), rateLimit({ requests: limits.requestsPer10s, seconds: 10 }))
    this.#app.use(guardBodies({ maxBytes: limits.uploadBytes, ...options.bodies }))
    this.#ownRoutes()
    if (accounts) {
      accounts.addRoutes(this)
      accounts.onSessionEnd((sessionId) => this.events.endSession(sessionId))
      accounts.onChange(() => this.events.refresh((sessionId) => accounts.current(sessionId)))
    }
  }

  /** A door of the JSON API. */
  route<A extends Allow, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
    spec: RouteSpec<A, P, Q, B>,
    handler: RouteHandler<A, P, Q, B>,
  ): void {
    this.#routes.push({ spec })
    const guards = spec.limit ? [rateLimit(spec.limit)] : []
    if (this.#options.audit) guards.push(refuseUnaudited(spec.method, spec.allow, this.#options.audit))
    this.#register(spec.method, spec.path, [
      ...guards,
      ...routeHandler(spec, handler, { log: this.#options.log, accounts: this.#accounts, rates: this.#rates }),
    ])
  }

  raw<A extends Allow>(spec: RawSpec<A>, handler: RawHandler<A>): void {
    this.#routes.push({ spec, produces: spec.produces ?? 'application/octet-stream' })
    this.#register(spec.method, spec.path, [
      ...(this.#options.audit ? [refuseUnaudited(spec.method, spec.allow, this.#options.audit)] : []),
      async (request, response) => {
        const note = noteOfResponse(response)
        note.route = spec.path
        note.quiet = spec.method === 'GET'
        const signedIn = await admit(request, spec, this.#accounts)
        if (signedIn) note.userId = signedIn.user.id
        await this.#rates.charge(spec, request, signedIn)
        const user = signedIn?.user as Parameters<RawHandler<A>>[2] // admit() has refused whoever is missing
        await handler(request, response, user, signedIn)
      },
    ])
  }

  /** Serves a built page application from `distFolder` below `prefix`, for example `/desk`. */
  pages(prefix: string, distFolder: string): void {
    this.#app.use(prefix, pages(prefix, distFolder))
  }

  /** What was asked goes along: the answer of a sign-in elsewhere comes to `/`, too. */
  redirect(from: string, to: string): void {
    this.#app.get(from, (request, response) => {
      const [, query] = request.originalUrl.split('?', 2)
      response.redirect(302, query === undefined ? to : `${to}?${query}`)
    })
  }

  /** Adds a line to /health. */
  check(name: string, check: HealthCheck, options?: { critical?: boolean }): void {
    this.health.add(name, check, options)
  }

  /** @throws An Error that names port and setting when the port is taken. */
  async listen(options: ListenOptions): Promise<{ port: number }> {
    const { audit } = this.#options
    this.#app.use(nothingHere)
    if (audit) this.#app.use(auditRefusals(audit, (response) => noteOfResponse(response).route))
    this.#app.use(problemAnswers(this.#options.log))
    const { server, port, certificateEnds } = await listen(this.#app, options, this.#options.log)
    this.#server = server
    const { trustProxy = false, log } = this.#options
    limitConnections(server, trustProxy === false ? this.#limits.connectionsPerAddress : 0, log)
    logConnections(server, log)
    if (options.tls) this.check('tls', () => certificateHealth(certificateEnds()), { critical: false })
    log.info({ host: options.host, port, tls: options.tls !== undefined }, 'listening')
    return { port }
  }

  /**
   * The first step of an orderly end (LOC-03): /health answers 503 while everything is still served, so that balancers turn away
   * before the port closes; connections are not kept for another request.
   *
   * @param forMs as long as a balancer needs to notice; 0 when there is none.
   */
  async drain(forMs: number): Promise<void> {
    this.health.stop()
    await delay(forMs)
  }

  async close(): Promise<void> {
    await this.#options.accounts?.close()
    this.events.close()
    if (this.#server) await closeServer(this.#server, this.#options.closeDeadlineMs ?? 5_000)
    this.#server = undefined
  }

  #register(method: Method, path: string, handlers: RequestHandler[]): void {
    // Known before the door, so that a refusal there says which it was.
    const named: RequestHandler = (_request, response, next) => {
      noteOfResponse(response).route = path
      next()
    }
    this.#app.route(path)[verbs[method]](named, ...handlers)
    const methods = this.#methods.get(path)
    if (methods) return void methods.add(method)
    // Which methods there are says nothing of what they would answer, and to whom (RFC 9110 9.3.7, PS3.18 8.9).
    const own = new Set<Method>([method])
    this.#methods.set(path, own)
    this.#app.route(path).options((_request, response) => {
      const allowed = [...own].flatMap((each) => (each === 'GET' ? ['GET', 'HEAD'] : [each]))
      response.status(204).set('Allow', [...allowed, 'OPTIONS'].join(', ')).end()
    })
  }

  /** Made once for the doors there are: it is costly, and anybody may ask for it. */
  #describe(service: Parameters<typeof openApiDocument>[0]): unknown {
    if (this.#described?.doors !== this.#routes.length) this.#described = { doors: this.#routes.length, document: openApiDocument(service, this.#routes) }
    return this.#described.document
  }

  #ownRoutes(): void {
    const { name, version, metrics, accounts } = this.#options
    this.route(
      { method: 'GET', path: '/health', summary: 'Whether this process serves', allow: 'anyone', answer: HealthReport },
      async ({ response }) => {
        noteOfResponse(response).quiet = true
        const body = await this.health.report()
        return { status: body.status === 'failing' ? 503 : 200, body }
      },
    )
    this.route({ method: 'GET', path: '/openapi.json', summary: 'This document', allow: 'anyone' }, () =>
      this.#describe({ name, version, cookie: accounts?.cookieName }),
    )
    this.raw(
      { method: 'GET', path: '/metrics', summary: 'Figures for Prometheus, to this machine only', allow: 'anyone', produces: 'text/plain' },
      async (request, response) => {
        if (!isLoopback(request)) throw new Problem('access/forbidden')
        response.type(metrics.registry.contentType).send(await metrics.registry.metrics())
      },
    )
    if (accounts === undefined) return
    this.raw(
      { method: 'GET', path: '/api/events', summary: 'Live events (SSE)', allow: 'signed-in', passive: true, produces: 'text/event-stream' },
      (request, response, _user, signedIn) => {
        if (signedIn) this.events.open(request, response, signedIn)
      },
    )
  }
}

const verbs = { GET: 'get', POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' } as const

/** Two weeks are enough to renew it; before, nobody needs to hear of it. */
const CERTIFICATE_WARNING_MS = 14 * 86_400_000

function certificateHealth(ends = 0): Record<string, unknown> {
  if (ends - Date.now() < CERTIFICATE_WARNING_MS) throw new Problem('certificate/expired', { what: 'http.tls', ends })
  return { ends: new Date(ends).toISOString() }
}

/** A collector runs beside the process; whoever comes through a proxy is from elsewhere. */
function isLoopback(request: Request): boolean {
  const address = request.socket.remoteAddress ?? ''
  return /^(?:127\.|::1$|::ffff:127\.)/.test(address) && request.get('x-forwarded-for') === undefined
}

export function createHttpFace(options: HttpFaceOptions): HttpFace {
  return new HttpFace(options)
}
