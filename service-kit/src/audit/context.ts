import { AsyncLocalStorage } from 'node:async_hooks'
import type { AuditActor } from 'specs'

/** What is known of the request that is being served. The HTTP face fills it in, so that no part needs to pass it down. */
export interface AuditContext {
  actor?: AuditActor
  readonly sourceIp?: string
  readonly device?: string
  readonly traceId?: string
  /** A refusal of this request is in the trail already: the face need not tell it again. */
  refusalNoted?: boolean
}

export const auditContext = new AsyncLocalStorage<AuditContext>()

/**
 * The actor of an event: whom the part names, completed by what the request shows; the request's own when nobody is named.
 * Work that no request began is the system's.
 */
export function actorOf(named: AuditActor | undefined, node: string): AuditActor {
  const context = auditContext.getStore()
  const origin = { ...(context?.sourceIp !== undefined && { sourceIp: context.sourceIp }), ...(context?.device !== undefined && { device: context.device }) }
  if (named === undefined) {
    if (context?.actor !== undefined) return { ...origin, ...context.actor }
    return context === undefined ? { kind: 'system', id: node } : { kind: 'stranger', id: 'anonymous', ...origin }
  }
  if (context === undefined || named.kind === 'hospital' || named.kind === 'dicom-node' || named.kind === 'system') return named
  const same = context.actor?.id === named.id ? context.actor : {}
  return { ...origin, ...same, ...named }
}
