import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { hmacSm3 } from 'pki'
import { canonicalJson, type AuditActor, type AuditEvent, type AuditRecord } from 'specs'
import { actorOf, auditContext } from './context.ts'
import { cleanText, redact, withoutControls } from './redact.ts'

/** A record that has no place in the chain yet. */
export type Draft = Omit<AuditRecord, 'seq' | 'prevHash' | 'recordedAt'>

export interface Drafting {
  readonly node: string
  readonly hospital: string
  /** Keys the hashes of identifiers and of old and new values: without it a number could be guessed back. */
  readonly key: Uint8Array
  readonly now: () => number
}

/** Ordered by time like UUID version 7 (RFC 9562), so that the index grows at its end. */
export function newEventId(at: number): string {
  const time = at.toString(16).padStart(12, '0')
  const random = randomBytes(10).toString('hex')
  const variant = ((parseInt(random[3] ?? '0', 16) & 0x3) | 0x8).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`
}

export const keyedHash = (key: Uint8Array, text: string): string => Buffer.from(hmacSm3(key, Buffer.from(text, 'utf8'))).toString('hex').slice(0, 32)

/** The face need not tell again what a part behind it has told. */
export function noteRefusal({ outcome }: Pick<AuditEvent, 'outcome'>): void {
  const context = auditContext.getStore()
  if (context && outcome === 'refused') context.refusalNoted = true
}

/** Everything of an event but its place; cleaned, so that what must not be kept never reaches a queue or a disk. */
export function draftOf(event: AuditEvent, { node, hospital, key, now }: Drafting): Draft {
  const hash = (text: string) => keyedHash(key, text)
  const at = event.at ?? now()
  const clean = (value: unknown) => (value === undefined ? undefined : redact(value, { hash }))
  const traceId = event.traceId ?? auditContext.getStore()?.traceId
  const digest = (value: unknown) => (value === undefined ? undefined : hash(canonicalJson(JSON.parse(JSON.stringify(value)))))
  noteRefusal(event)
  return {
    v: 1,
    eventId: newEventId(at),
    at,
    node,
    hospital,
    action: event.action,
    outcome: event.outcome,
    actor: trimmed(actorOf(event.actor, node)),
    ...(event.object && { object: { ...event.object, id: plain(event.object.id, 256) } }),
    ...given('purpose', event.purpose && plain(event.purpose, 64)),
    ...given('reason', event.reason && cleanText(plain(event.reason, 1_000))),
    ...given('basis', event.basis && plain(event.basis, 64)),
    ...given('code', event.code),
    ...given('before', clean(event.before)),
    ...given('after', clean(event.after)),
    ...given('beforeDigest', digest(event.before)),
    ...given('afterDigest', digest(event.after)),
    ...given('facts', event.facts && (clean(event.facts) as Record<string, unknown>)),
    ...given('traceId', traceId),
  }
}

function trimmed(actor: AuditActor): AuditActor {
  const { kind, id, name, roles, hospitalId, authMethod, sessionId, sourceIp, device } = actor
  return {
    kind,
    id: plain(id, 128),
    ...given('name', name && plain(name, 128)),
    ...given('roles', roles && roles.slice(0, 50).map((role) => plain(role, 64))),
    ...given('hospitalId', hospitalId),
    // Of people of other hospitals these are that hospital's words.
    ...given('authMethod', authMethod && plain(authMethod, 32)),
    // A session id is no token: it opens nothing.
    ...given('sessionId', sessionId && plain(sessionId, 128)),
    ...given('sourceIp', sourceIp && plain(sourceIp, 64)),
    ...given('device', device && plain(device, 256)),
  }
}

const ordinary = /^[ -~]*$/

/** One line, no NUL, no half characters: databases and collectors take it as it is. */
function plain(text: string, max: number): string {
  if (text.length <= max && ordinary.test(text)) return text // nearly all of them
  return withoutControls(text.slice(0, max)).replace(/[\t\n]/g, ' ').replace(/\p{Surrogate}/gu, '\ufffd')
}

function given<K extends string, V>(key: K, value: V): { [P in K]?: Exclude<V, undefined | ''> } {
  return (value === undefined || value === '' ? {} : { [key]: value }) as { [P in K]?: Exclude<V, undefined | ''> }
}
