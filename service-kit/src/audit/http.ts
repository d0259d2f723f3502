import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import { describeRight, isProblem, Problem, type AuditActor, type Right } from 'specs'
import type { Allow, Authenticator, SignedIn } from '../http/user.ts'
import { auditContext } from './context.ts'
import type { AuditTrail } from './trail.ts'

/** Opens the context of a request, in which every event of it finds address, device and trace. */
export function auditRequests(traceIdOf: (response: Response) => string): RequestHandler {
  return (request, response, next) => {
    const device = request.get('user-agent')?.slice(0, 256)
    auditContext.run({ sourceIp: request.ip ?? 'unknown', traceId: traceIdOf(response), ...(device !== undefined && { device }) }, next)
  }
}

/** The accounts, telling the context of the request who was found to be asking. Whatever else they do is theirs. */
export function rememberingActor(accounts: Authenticator): Authenticator {
  const signedIn: Authenticator['signedIn'] = async (request, how) => {
    const found = await accounts.signedIn(request, how)
    const context = auditContext.getStore()
    if (context && found) context.actor = actorOfSession(found)
    return found
  }
  return new Proxy(accounts, {
    get(target, name) {
      if (name === 'signedIn') return signedIn
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
}

export function actorOfSession({ user, sessionId }: SignedIn): AuditActor {
  const { id, name, roles, authMethod } = user
  return { kind: authMethod === 'service' ? 'service' : 'user', id, name, roles: [...roles], authMethod, sessionId }
}

/** Refused with or without an account, and faults: every door tells them, unless the part behind it has. */
export function auditRefusals(audit: AuditTrail, routeOf: (response: Response) => string | undefined): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const code = isProblem(error) ? error.code : 'service/internal'
    const status = isProblem(error) ? error.answer.http : 500
    const object = { type: 'route', id: `${request.method} ${routeOf(response) ?? 'none'}` } as const
    if (status === 401 || status === 403 || status === 429) {
      const isKnockOnly = code === 'access/not-signed-in' && !showsCredentials(request)
      if (!isKnockOnly && auditContext.getStore()?.refusalNoted !== true) audit.note({ action: 'access.refused', outcome: 'refused', object, code })
    } else if (status >= 500 && code !== 'audit/unavailable') {
      audit.note({ action: 'system.fault', outcome: 'failed', object, code, facts: { operation: object.id } })
    }
    next(error)
  }
}

/** Whoever shows nothing at all has only knocked: pages do that when they open. */
const showsCredentials = (request: Request): boolean => request.get('authorization') !== undefined || /\blianpian_/.test(request.get('cookie') ?? '')

/** Exports are acts though they are read; everything else that only reads goes on while the trail is away. */
const readsThatAct = new Set<Right>(['image.export', 'audit.export', 'report.print'])

/** GB/T 22239 8.1.4.3: what needs a privileged right does not happen unseen. */
export function refuseUnaudited(method: string, allow: Allow, audit: AuditTrail): RequestHandler {
  const privileged = typeof allow === 'string' ? [] : allow.filter((right) => describeRight(right).privileged)
  const acts = method !== 'GET' || privileged.some((right) => readsThatAct.has(right))
  const guarded = privileged.length > 0 && acts && privileged.length === allow.length
  return (_request, _response, next) => {
    if (guarded && !audit.available) throw new Problem('audit/unavailable')
    next()
  }
}
