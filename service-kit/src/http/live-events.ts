import { randomBytes } from 'node:crypto'
import type { Request, Response } from 'express'
import { Problem, type LiveEvent } from 'specs'
import type { SignedIn, User } from './user.ts'

export interface LiveEventsOptions {
  /** A comment line that keeps proxies from closing a quiet stream, and shows us who has gone. */
  readonly heartbeatMs: number
  /** Events kept for whoever reconnects. */
  readonly kept: number
  /** What may wait for a slow reader before the stream is cut; the browser reconnects and reloads. */
  readonly maxWaitingBytes: number
  readonly maxStreams: number
}

const defaults: LiveEventsOptions = { heartbeatMs: 15_000, kept: 1_000, maxWaitingBytes: 512 * 1024, maxStreams: 2_000 }

interface Kept {
  readonly number: number
  readonly text: string
  readonly forWhom: (user: User) => boolean
}

interface Stream {
  readonly response: Response
  signedIn: SignedIn
}

/**
 * Server-sent events of one process. An id is `<run>-<number>`; who comes back with the last one gets what was missed, or, when that is
 * no longer known, one event named `resync`: the page then loads everything anew.
 */
export class LiveEvents {
  readonly #options: LiveEventsOptions
  readonly #run = randomBytes(6).toString('hex')
  readonly #streams = new Set<Stream>()
  readonly #kept: Kept[] = []
  #number = 0
  readonly #heart: NodeJS.Timeout

  constructor(options: Partial<LiveEventsOptions> = {}) {
    this.#options = { ...defaults, ...options }
    this.#heart = setInterval(() => this.#beat(), this.#options.heartbeatMs)
    this.#heart.unref()
  }

  /** @param forWhom Whom the event concerns; everybody signed in unless told. */
  publish(event: LiveEvent, forWhom: (user: User) => boolean = () => true): void {
    const number = ++this.#number
    const kept = { number, text: `id: ${this.#run}-${number}\ndata: ${JSON.stringify(event)}\n\n`, forWhom }
    this.#kept.push(kept)
    if (this.#kept.length > this.#options.kept) this.#kept.shift()
    for (const stream of this.#streams) if (forWhom(stream.signedIn.user)) this.#send(stream, kept.text)
  }

  get streamCount(): number {
    return this.#streams.size
  }

  /** Answers GET /api/events until the visitor goes, the session ends or the reader is too slow. */
  open(request: Request, response: Response, signedIn: SignedIn): void {
    if (this.#streams.size >= this.#options.maxStreams) throw new Problem('service/unavailable', { streams: this.#streams.size })
    response.status(200).set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' })
    response.flushHeaders()
    const stream = { response, signedIn }
    response.once('close', () => this.#streams.delete(stream))
    response.write('retry: 2000\n\n')
    for (const text of this.#missed(request.get('last-event-id'), signedIn.user)) this.#send(stream, text)
    this.#streams.add(stream)
  }

  #missed(lastEventId: string | undefined, user: User): string[] {
    if (lastEventId === undefined || lastEventId === '') return []
    const [run, number] = lastEventId.split('-')
    const last = Number(number)
    const oldest = this.#kept[0]?.number ?? this.#number + 1
    const known = run === this.#run && Number.isInteger(last) && last <= this.#number && last >= oldest - 1
    if (!known) return [`id: ${this.#run}-${this.#number}\nevent: resync\ndata: {}\n\n`]
    return this.#kept.filter((kept) => kept.number > last && kept.forWhom(user)).map((kept) => kept.text)
  }

  #send(stream: Stream, text: string): void {
    stream.response.write(text)
    if (stream.response.writableLength > this.#options.maxWaitingBytes) this.#end(stream)
  }

  #beat(): void {
    for (const stream of this.#streams) this.#send(stream, ': \n\n')
  }

  #end(stream: Stream): void {
    this.#streams.delete(stream)
    stream.response.destroy()
  }

  /** Rights have changed: every stream goes on with what its session is worth now, or ends. */
  async refresh(find: (sessionId: string) => Promise<SignedIn | undefined>): Promise<void> {
    for (const stream of [...this.#streams]) {
      const now = await find(stream.signedIn.sessionId)
      if (now === undefined) this.#end(stream)
      else stream.signedIn = now
    }
  }

  /** Cuts the streams of a session that has ended. */
  endSession(sessionId: string): void {
    for (const stream of this.#streams) if (stream.signedIn.sessionId === sessionId) this.#end(stream)
  }

  close(): void {
    clearInterval(this.#heart)
    for (const stream of this.#streams) {
      this.#streams.delete(stream)
      stream.response.end()
    }
  }
}
