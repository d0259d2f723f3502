import type { Database, Log, WaitingMessage } from 'service-kit'
import { answers, kinds, type EpochMs, type ProblemCode, type WaitingRow } from 'specs'
import type { Region } from '../region/region.ts'
import { markRepeated, queuedCommands, type QueuedCommand } from './store.ts'

export interface UnansweredParts {
  readonly db: Database
  readonly region: Region
  readonly log: Log
  /** A command whose message was taken and whose answer has not come for this long is sent again. */
  readonly repeatAfterMs: number
  readonly now: () => EpochMs
}

const MOST_SHOWN = 500
const MOST_REPEATED = 100

/**
 * Every request has its answer, or is seen to have none (AGT-07): who waits, for what, since when, how often it was tried
 * and what stood in the way last.
 */
export class UnansweredCommands {
  readonly #parts: UnansweredParts

  constructor(parts: UnansweredParts) {
    this.#parts = parts
  }

  /** Oldest first, at most 500: commands of this hospital's people and of its agent, and whatever else waits. */
  async list(): Promise<WaitingRow[]> {
    const { db, region } = this.#parts
    const { link } = region
    const [commands, messages] = [await queuedCommands(db, MOST_SHOWN), (await link?.unanswered({ limit: MOST_SHOWN })) ?? []]
    const byId = new Map(messages.map((message) => [message.id, message]))
    const rows: WaitingRow[] = []
    for (const command of commands) {
      const { messageId } = command
      const message = messageId === null ? undefined : (byId.get(messageId) ?? (await link?.sent(messageId)))
      if (messageId !== null) byId.delete(messageId)
      rows.push(commandRow(command, message, link !== undefined))
    }
    for (const message of byId.values()) rows.push(messageRow(message))
    return rows.sort((a, b) => a.since - b.since).slice(0, MOST_SHOWN)
  }

  /**
   * The answer to a message that was taken comes by itself; when it does not, it was lost with somebody's memory (a
   * platform restored from a backup). The platform knows a command by its id and gives the same answer again.
   */
  async repeat(): Promise<void> {
    const { db, region, repeatAfterMs, now, log } = this.#parts
    const { link } = region
    if (!link || !region.isConnected) return
    for (const { commandId, taskId, type, messageId, at, regionId } of await queuedCommands(db, MOST_REPEATED)) {
      if (messageId === null || now() - at < repeatAfterMs) continue
      if (regionId !== region.regionId) continue // asked another platform (AGT-03), which answers when we are back there
      const sent = await link.sent(messageId)
      if (sent?.state !== 'delivered' || now() - (sent.deliveredAt ?? 0) < repeatAfterMs) continue
      await db.write(async (tx) => {
        const again = await link.repeat(tx, messageId)
        if (again !== undefined && !(await markRepeated(tx, commandId, again))) log.debug({ commandId }, 'answered meanwhile')
      })
      log.warn({ commandId, taskId, type }, 'no answer from the platform; the command is sent again')
    }
  }
}

/** @param isJoined without a platform nothing can be looked up, and everything waits. */
export function commandRow(command: QueuedCommand, message: WaitingMessage | undefined, isJoined: boolean): WaitingRow {
  const { commandId, taskId, type, messageId, byAgent, byName, repeats, at } = command
  const said = {
    messageId,
    kind: kinds.consultCommand,
    command: { commandId, taskId, type },
    by: byAgent ? null : (byName ?? ''),
    since: at,
  }
  if (!message) {
    const nothing = { attempts: repeats, lastTriedAt: null }
    return isJoined ? { ...said, ...nothing, state: 'lost', problem: told('message/lost') } : { ...said, ...nothing, state: 'pending', problem: told('region/not-joined') }
  }
  const { state, attempts, lastTriedAt, problem } = message
  return { ...said, state, attempts: attempts + repeats, lastTriedAt, problem: told(problem) }
}

function messageRow({ id, kind, since, state, attempts, lastTriedAt, problem }: WaitingMessage): WaitingRow {
  return { messageId: id, kind, command: null, by: null, since, state, attempts, lastTriedAt, problem: told(problem) }
}

const told = (code: ProblemCode | null) => code && { code, title: answers[code].zh }
