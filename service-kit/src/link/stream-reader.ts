import { jetstream, type JsMsg } from '@nats-io/jetstream'
import type { Log } from '../log/index.ts'
import { type Clock, pause } from './clock.ts'
import type { Session } from './line.ts'

export interface Reading {
  readonly stream: string
  readonly consumer: string
  /** Resolves when there is room for the next one. */
  readonly onMessage: (message: JsMsg) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

const retryMs = 250

/**
 * Reads a durable consumer that the hub has made, until the session ends. A node may neither make it nor look at its
 * stream; while it does not exist (a new hospital, a server that lost its store) it is asked for again.
 */
export async function readStream(session: Session, { stream, consumer, onMessage, clock, log }: Reading): Promise<void> {
  const client = jetstream(session.nats, { timeout: 5_000 })
  while (!session.signal.aborted) {
    try {
      const pull = await client.consumers.get(stream, consumer)
      const messages = await pull.consume({
        max_messages: 100,
        expires: 10_000,
        idle_heartbeat: 5_000,
        abort_on_missing_resource: true,
      })
      const end = () => void messages.close()
      session.signal.addEventListener('abort', end)
      try {
        // The iterator asks the server for more only as it is read, so a slow database holds the flow back.
        for await (const message of messages) await onMessage(message)
      } finally {
        session.signal.removeEventListener('abort', end)
      }
    } catch (error) {
      if (!session.signal.aborted) log.debug({ err: error, stream, consumer }, 'stream not readable yet')
    }
    await pause(clock, retryMs, session.signal)
  }
}
