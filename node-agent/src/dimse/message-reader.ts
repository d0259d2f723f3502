import { Buffer } from 'node:buffer'
import { protocolFault } from './byte-reader.ts'
import { type CommandSet, decodeCommandSet, hasDataset } from './command-set.ts'
import { type Fragment } from './pdu-splitter.ts'

/** A DIMSE message as it comes in: its command whole, its data set piece by piece. */
export type MessagePart =
  | { readonly kind: 'command'; readonly contextId: number; readonly command: CommandSet }
  | { readonly kind: 'dataset'; readonly data: Buffer; readonly last: boolean }

/** Command sets are some hundred bytes; attribute lists of C-GET-RSP and the like stay far below this. */
const MAX_COMMAND_BYTES = 64 * 1024

/** Joins fragments to messages (PS3.7 6.3, PS3.8 E.2): command first, then its data set, both in one presentation context. */
export class MessageReader {
  #command: Buffer[] = []
  #commandBytes = 0
  #contextId: number | undefined
  #awaitsDataset = false

  /** True between the first piece of a message and its last. */
  get isInsideMessage(): boolean {
    return this.#contextId !== undefined
  }

  /** @throws {Problem} dimse/protocol when a fragment does not continue the message begun before it. */
  take({ contextId, isCommand, last, data }: Fragment): MessagePart | undefined {
    if (this.#contextId !== undefined && this.#contextId !== contextId)
      throw protocolFault('message changes its presentation context', { contextId })
    this.#contextId = contextId
    if (isCommand === this.#awaitsDataset)
      throw protocolFault(isCommand ? 'command inside a data set' : 'data set without a command', { contextId })
    if (!isCommand) return this.#takeDataset(data, last)
    this.#commandBytes += data.length
    if (this.#commandBytes > MAX_COMMAND_BYTES) throw protocolFault('command set too long', { contextId })
    this.#command.push(data)
    return last ? this.#takeCommand(contextId) : undefined
  }

  #takeDataset(data: Buffer, last: boolean): MessagePart {
    if (last) {
      this.#awaitsDataset = false
      this.#contextId = undefined
    }
    return { kind: 'dataset', data, last }
  }

  #takeCommand(contextId: number): MessagePart {
    const command = decodeCommandSet(this.#command.length === 1 && this.#command[0] ? this.#command[0] : Buffer.concat(this.#command))
    this.#command = []
    this.#commandBytes = 0
    this.#awaitsDataset = hasDataset(command)
    if (!this.#awaitsDataset) this.#contextId = undefined
    return { kind: 'command', contextId, command }
  }
}
