import { isIPv6 } from 'node:net'
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import type { EpochMs, ProblemCode } from 'specs'
import type { Log } from '../log/index.ts'
import { backoffMs } from './backoff.ts'
import { type Clock, pause } from './clock.ts'
import { natsTlsOptions, type NatsTrust } from './nats-tls.ts'
import type { Timing } from './timing.ts'

/** One NATS connection from its making to its end. Whatever is begun on it ends with `signal`. */
export interface Session {
  readonly nats: NatsConnection
  readonly signal: AbortSignal
}

/** `connected` means that the other end has answered, not merely that a socket is open. */
export interface LineStatus {
  readonly state: 'connecting' | 'connected' | 'disconnected' | 'refused'
  readonly since: EpochMs
  readonly problem: ProblemCode | null
  /** Attempts in vain since the other end answered last. */
  readonly failures: number
  readonly lastTriedAt: EpochMs
}

export interface LineOptions {
  readonly name: string
  readonly natsUrl: string
  readonly natsTrust?: NatsTrust | undefined
  readonly addressOf?: ((host: string) => Promise<string>) | undefined
  /** Content of a `.creds` file. */
  readonly credentials: string
  readonly inboxPrefix: string
  readonly clock: Clock
  readonly timing: Timing
  readonly log: Log
  /** Sets up what lives on a new connection. When it throws, the connection is given up and made anew. */
  readonly onSession: (session: Session) => Promise<void>
  readonly onStatus: (status: LineStatus) => void
}

/**
 * The one outbound connection to the region. The client's own reconnection is off: each connection is a session of its
 * own, made again for ever, so that nothing half-alive is carried over and a stalled one can simply be dropped.
 */
export class Line {
  readonly #options: LineOptions
  readonly #stop = new AbortController()
  /** Ends the wait between two attempts. */
  #wait = new AbortController()
  #session: Session | undefined
  #loop: Promise<void> = Promise.resolve()
  #status: LineStatus

  constructor(options: LineOptions) {
    this.#options = options
    const since = options.clock.now()
    this.#status = { state: 'connecting', since, problem: null, failures: 0, lastTriedAt: since }
  }

  get session(): Session | undefined {
    return this.#session
  }

  get status(): LineStatus {
    return this.#status
  }

  start(): void {
    this.#loop = this.#run()
  }

  /** Ends the connection; requests being answered get a moment to finish. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wait.abort()
    const session = this.#session
    if (session)
      await Promise.race([session.nats.drain().catch(() => session.nats.close()), pause(this.#options.clock, 2_000, session.signal)])
    if (session && !session.nats.isClosed()) await session.nats.close()
    await this.#loop
  }

  /** Gives a connection up that looks alive and carries nothing. */
  async drop(session: Session, reason: string): Promise<void> {
    if (session !== this.#session) return
    this.#options.log.warn({ reason }, 'NATS connection given up')
    await session.nats.close()
  }

  report(state: LineStatus['state'], problem: ProblemCode | null): void {
    const before = this.#status
    const lastTriedAt = this.#options.clock.now()
    const since = before.state === state ? before.since : lastTriedAt
    // The end of a connection that carried us is no attempt yet.
    const failures = state === 'connected' || before.state === 'connected' ? 0 : before.failures + 1
    this.#status = { state, since, problem, failures, lastTriedAt }
    if (before.state !== state || before.problem !== problem) this.#options.onStatus(this.#status)
  }

  /** Does not wait for the next attempt. */
  hurry(): void {
    this.#wait.abort()
  }

  async #run(): Promise<void> {
    const { clock, timing, log } = this.#options
    for (let attempt = 1; !this.#stop.signal.aborted; attempt++) {
      try {
        const nats = await this.#connect()
        attempt = 1
        await this.#live(nats)
      } catch (error) {
        this.#reportFailure(error)
        // The first failures and then one in some minutes: a day's outage must not fill the log, nor be missing from it.
        const level = attempt <= 5 || attempt % 60 === 0 ? 'info' : 'debug'
        log[level]({ reason: error instanceof Error ? error.message : String(error), attempt }, 'no NATS connection')
      }
      this.#wait = new AbortController()
      const waitMs = backoffMs(attempt, { firstMs: timing.reconnectFirstMs, maxMs: timing.reconnectMaxMs }, Math.random())
      if (!this.#stop.signal.aborted) await pause(clock, waitMs, this.#wait.signal)
    }
  }

  async #connect(): Promise<NatsConnection> {
    const { natsUrl, natsTrust = { natsUrl }, credentials, inboxPrefix, name, timing } = this.#options
    const authenticator = credsAuthenticator(new TextEncoder().encode(credentials))
    return connect({
      servers: await this.#serverOf(natsUrl),
      ...natsTlsOptions(natsTrust),
      authenticator,
      inboxPrefix,
      name,
      reconnect: false,
      timeout: timing.answerTimeoutMs,
      pingInterval: 10_000,
      maxPingOut: 2,
    })
  }

  /** Its name is left to the certificate (see NATS_TLS_NAME); the connection goes to the address that was judged. */
  async #serverOf(natsUrl: string): Promise<string> {
    const { addressOf } = this.#options
    if (!addressOf) return natsUrl
    const url = new URL(natsUrl)
    const address = await addressOf(url.hostname)
    return `${url.protocol}//${isIPv6(address) ? `[${address}]` : address}${url.port === '' ? '' : `:${url.port}`}`
  }

  async #live(nats: NatsConnection): Promise<void> {
    const end = new AbortController()
    const session: Session = { nats, signal: end.signal }
    this.#session = session
    const { clock, log } = this.#options
    const opened = clock.now()
    const server = nats.getServer()
    log.info({ server, localAddress: nats.info?.client_ip }, 'NATS connection opened')
    if (this.#stop.signal.aborted) await nats.close()
    const closed = nats.closed().then((error) => {
      end.abort()
      this.#session = undefined
      const reason = error instanceof Error ? error.message : undefined
      log.info({ server, ...nats.stats(), milliseconds: clock.now() - opened, reason }, 'NATS connection ended')
      return error
    })
    try {
      await this.#options.onSession(session)
    } catch (error) {
      if (!nats.isClosed()) this.#options.log.warn({ err: error }, 'NATS connection could not be put to use')
      await nats.close()
    }
    const error = await closed
    if (this.#stop.signal.aborted) this.report('disconnected', null)
    else this.#reportFailure(error)
  }

  #reportFailure(error: unknown): void {
    const text = error instanceof Error ? `${error.name} ${error.message}` : ''
    if (/authori[sz]ation|authentication/i.test(text)) this.report('refused', 'region/not-joined')
    else this.report('disconnected', 'region/hub-unreachable')
  }
}
