import { Problem, type MessageId, type PartyId } from 'specs'
import type { Transaction } from 'service-kit'

export interface ArrivedMessage {
  readonly id: MessageId
  readonly from: PartyId
  readonly seq: number
  readonly body: unknown
}
export type MessageHandler = (tx: Transaction, message: ArrivedMessage) => Promise<void>
export type RequestHandler = (request: { readonly from: PartyId; readonly body: unknown }) => Promise<unknown>
export type BytesHandler = (bytes: Uint8Array, from: PartyId) => Promise<Uint8Array>

/** What the parts of a node need of the connection to the region; service-kit's NodeLink is one. */
export interface Line {
  onMessage(kind: string, handler: MessageHandler): void
  post(tx: Transaction, to: PartyId, kind: string, body: unknown): Promise<{ id: MessageId; seq: number }>
  request(to: PartyId, service: string, body: unknown, options: { timeoutMs: number }): Promise<unknown>
  serve(service: string, handler: RequestHandler): void
  requestBytes(to: PartyId, service: string, bytes: Uint8Array, options: { timeoutMs: number }): Promise<Uint8Array>
  serveBytes(service: string, handler: BytesHandler): void
  sealFor(parties: readonly PartyId[], value: unknown): string
  openSealed(text: string, expect: { from: PartyId }): unknown
}

/**
 * The connection to whichever region the node belongs to at the moment (AGT-03). Handlers are registered once and follow
 * when another platform takes over; without a region every send is refused with `region/not-joined`, and nothing waits.
 */
export class SwitchableLine implements Line {
  #current: Line | undefined
  readonly #registrations: ((line: Line) => void)[] = []

  attach(line: Line): void {
    this.#current = line
    for (const register of this.#registrations) register(line)
  }

  detach(): void {
    this.#current = undefined
  }

  get isAttached(): boolean {
    return this.#current !== undefined
  }

  onMessage(kind: string, handler: MessageHandler): void {
    this.#register((line) => line.onMessage(kind, handler))
  }

  serve(service: string, handler: RequestHandler): void {
    this.#register((line) => line.serve(service, handler))
  }

  serveBytes(service: string, handler: BytesHandler): void {
    this.#register((line) => line.serveBytes(service, handler))
  }

  post(tx: Transaction, to: PartyId, kind: string, body: unknown): Promise<{ id: MessageId; seq: number }> {
    return this.#line().post(tx, to, kind, body)
  }

  async request(to: PartyId, service: string, body: unknown, options: { timeoutMs: number }): Promise<unknown> {
    return this.#line().request(to, service, body, options)
  }

  async requestBytes(to: PartyId, service: string, bytes: Uint8Array, options: { timeoutMs: number }): Promise<Uint8Array> {
    return this.#line().requestBytes(to, service, bytes, options)
  }

  sealFor(parties: readonly PartyId[], value: unknown): string {
    return this.#line().sealFor(parties, value)
  }

  openSealed(text: string, expect: { from: PartyId }): unknown {
    return this.#line().openSealed(text, expect)
  }

  #register(register: (line: Line) => void): void {
    this.#registrations.push(register)
    if (this.#current) register(this.#current)
  }

  #line(): Line {
    if (!this.#current) throw new Problem('region/not-joined')
    return this.#current
  }
}
