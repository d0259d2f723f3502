import { randomUUID } from 'node:crypto'
import { headers, type Msg, TimeoutError } from '@nats-io/transport-node'
import type { Certificate, OpenedEnvelope, Opener, ReplayGuard, Sealer } from 'pki'
import {
  CallReply,
  CallRequest,
  HUB,
  inboxPrefix,
  isProblem,
  isProblemCode,
  MessageId,
  noteOf,
  parseWith,
  type PartyId,
  Problem,
  PROBLEM_HEADER,
  type ProblemCode,
  problemFromNote,
  type RegionId,
  subjects,
} from 'specs'
import type { Log } from '../log/index.ts'
import type { Session } from './line.ts'
import type { RefusalStore } from './refusal.ts'
import { parseRequestSubject } from './request-subject.ts'

export type Service = (request: { from: PartyId; body: unknown }) => Promise<unknown>
export type ByteService = (bytes: Uint8Array, from: PartyId) => Promise<Uint8Array>

export interface CallOptions {
  readonly timeoutMs?: number
}

export interface CallParts {
  readonly regionId: RegionId
  readonly own: PartyId
  readonly sealer: Sealer
  readonly opener: Opener
  readonly guard: ReplayGuard
  readonly refusals: RefusalStore
  readonly log: Log
  readonly defaultTimeoutMs: number
  certificateOf(party: PartyId): Certificate | undefined
  session(): Session | undefined
}

/** Requests that want an answer now: sealed both ways, or bytes under keys that a sealed request has agreed on before. */
export class Calls {
  readonly #parts: CallParts
  readonly #sealed = new Map<string, Service>()
  readonly #bytes = new Map<string, ByteService>()
  readonly #active = new Set<Promise<void>>()

  constructor(parts: CallParts) {
    this.#parts = parts
  }

  serve(service: string, answer: Service): void {
    this.#register(this.#sealed, service, answer)
  }

  serveBytes(service: string, answer: ByteService): void {
    this.#register(this.#bytes, service, answer)
  }

  /** The names of what is answered here. */
  get served(): string[] {
    return [...this.#sealed.keys(), ...this.#bytes.keys()].sort()
  }

  #register<S>(services: Map<string, S>, service: string, answer: S): void {
    if (this.#sealed.has(service) || this.#bytes.has(service)) throw new Error(`the service ${service} is already served`)
    services.set(service, answer)
  }

  /**
   * Asks a service of another party and waits for its answer.
   *
   * @returns the answer's body, still unparsed.
   * @throws {Problem} what the service refused with; region/hub-unreachable, region/hospital-offline when nobody answers.
   */
  async request(to: PartyId, service: string, body: unknown, options: CallOptions = {}): Promise<unknown> {
    const certificate = this.#parts.certificateOf(to)
    if (certificate === undefined)
      throw to === HUB ? new Problem('region/not-joined') : new Problem('region/unknown-hospital', { hospitalId: to })
    const id = MessageId.parse(randomUUID())
    const text = this.#parts.sealer.seal({
      id,
      recipients: [certificate],
      body: JSON.stringify({ service, body: body ?? null } satisfies CallRequest),
    })
    const message = await this.#ask(to, service, text, options)
    const reply = await this.#openReply(message, to, id)
    if (reply.outcome === 'problem') throw problemFromNote(reply.problem)
    return reply.body
  }

  /** As `request`, but the bytes go as they are: the caller has protected them. */
  async requestBytes(to: PartyId, service: string, bytes: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const message = await this.#ask(to, service, bytes, options)
    return message.data
  }

  async #ask(to: PartyId, service: string, data: string | Uint8Array, { timeoutMs }: CallOptions): Promise<Msg> {
    const { regionId, own, defaultTimeoutMs } = this.#parts
    const session = this.#parts.session()
    if (session === undefined) throw new Problem('region/hub-unreachable', { service })
    const subject = to === HUB ? subjects.hubRequest(regionId, hospital(own), service) : subjects.nodeRequest(regionId, to, own, service)
    const message = await session.nats.request(subject, data, { timeout: timeoutMs ?? defaultTimeoutMs }).catch((error: unknown) => {
      throw this.#unanswered(to, service, error)
    })
    const code = message.headers?.get(PROBLEM_HEADER)
    if (code)
      throw isProblemCode(code)
        ? new Problem(code, { service, party: to })
        : new Problem('service/internal', { service, code: code.slice(0, 64) })
    return message
  }

  /** `silent`: not even the server said that nobody listens, so the line itself may be dead. */
  #unanswered(to: PartyId, service: string, cause: unknown): Problem {
    const code: ProblemCode = to === HUB || this.#parts.session() === undefined ? 'region/hub-unreachable' : 'region/hospital-offline'
    return new Problem(code, { service, party: to, silent: cause instanceof TimeoutError }, { cause })
  }

  async #openReply(message: Msg, from: PartyId, id: MessageId): Promise<CallReply> {
    try {
      const opened = this.#parts.opener.open(message.data, { from })
      const reply = parseWith(CallReply, parseJson(opened), 'reply')
      if (reply.inReplyTo !== id) throw new Problem('envelope/replayed', { id: opened.id })
      return reply
    } catch (error) {
      await this.#parts.refusals.keep({ subject: message.subject, claimedSender: from, raw: message.data, error })
      throw error
    }
  }

  /** Answers all requests that arrive on this connection. */
  listen(session: Session): void {
    const { regionId, own, log } = this.#parts
    const subject = own === HUB ? subjects.requestsToHub(regionId) : subjects.requestsToNode(regionId, own)
    session.nats.subscribe(subject, {
      callback: (error, message) => {
        if (error) return log.error({ err: error, subject }, 'requests cannot be received')
        const work = this.#answer(message).catch((failure: unknown) =>
          log.error({ err: failure, subject: message.subject }, 'a request could not be answered'),
        )
        this.#active.add(work)
        void work.finally(() => this.#active.delete(work))
      },
    })
  }

  /** Waits for the answers being made. */
  async settle(): Promise<void> {
    await Promise.all(this.#active)
  }

  async #answer(message: Msg): Promise<void> {
    const asked = parseRequestSubject(this.#parts.regionId, this.#parts.own, message.subject)
    try {
      // Without this, a request could make us publish our answer wherever its sender pleases, with our permissions.
      if (asked === undefined || !message.reply?.startsWith(`${inboxPrefix(asked.from)}.`))
        throw new Problem('request/invalid', { what: 'reply subject' })
    } catch (error) {
      await this.#refuse(message, asked?.from, error)
      return
    }
    const { from, service } = asked
    const byteService = this.#bytes.get(service)
    const sealedService = this.#sealed.get(service)
    if (byteService) await this.#answerBytes(message, from, byteService)
    else if (sealedService) await this.#answerSealed(message, from, service, sealedService)
    else respondProblem(message, 'request/not-found')
  }

  async #answerBytes(message: Msg, from: PartyId, service: ByteService): Promise<void> {
    try {
      message.respond(await service(message.data, from))
    } catch (error) {
      if (!isProblem(error)) this.#parts.log.error({ err: error, subject: message.subject }, 'a byte service failed')
      respondProblem(message, noteOf(error).code)
    }
  }

  async #answerSealed(message: Msg, from: PartyId, service: string, answer: Service): Promise<void> {
    let opened: OpenedEnvelope
    let call: CallRequest
    try {
      opened = this.#parts.opener.open(message.data, { from })
      call = parseWith(CallRequest, parseJson(opened), 'request')
      if (call.service !== service) throw new Problem('envelope/wrong-audience', { id: opened.id, service, sealedFor: call.service })
      this.#parts.guard.rememberOnce(opened)
    } catch (error) {
      await this.#refuse(message, from, error)
      respondProblem(message, noteOf(error).code)
      return
    }
    const seal = (reply: CallReply) => this.#parts.sealer.seal({ recipients: [this.#answerTo(opened)], body: JSON.stringify(reply) })
    try {
      const body = (await answer({ from, body: call.body })) ?? null
      message.respond(seal({ outcome: 'answer', inReplyTo: opened.id, body }))
    } catch (error) {
      if (!isProblem(error)) this.#parts.log.error({ err: error, service, from }, 'a service failed')
      message.respond(seal({ outcome: 'problem', inReplyTo: opened.id, problem: { ...noteOf(error) } }))
    }
  }

  /** Whoever asked can open what is sealed for the certificate it asked with, unless that one only signs. */
  #answerTo({ certificate, sender }: OpenedEnvelope): Certificate {
    if (certificate.keyUsage.has('keyEncipherment')) return certificate
    return this.#parts.certificateOf(sender) ?? certificate
  }

  async #refuse(message: Msg, from: PartyId | undefined, error: unknown): Promise<void> {
    await this.#parts.refusals.keep({ subject: message.subject, claimedSender: from ?? '', raw: message.data, error })
  }
}

function respondProblem(message: Msg, code: string): void {
  const header = headers()
  header.set(PROBLEM_HEADER, code)
  message.respond('', { headers: header })
}

export function parseJson(opened: OpenedEnvelope): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(opened.body))
  } catch {
    throw new Problem('request/invalid', { what: 'body of the envelope', id: opened.id }) // the parser's words would quote the content
  }
}

function hospital(own: PartyId) {
  if (own === HUB) throw new Error('the hub does not ask itself')
  return own
}
