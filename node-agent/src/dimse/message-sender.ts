import { type Buffer } from 'node:buffer'
import { type CommandSet } from './command-set.ts'
import { sendCommand, sendDataset } from './message-writer.ts'
import { type UpperLayer } from './upper-layer.ts'

/** Sends messages of one association whole and one after the other, whoever asks at the same time: fragments of two must not mix (PS3.8 E.2). */
export class MessageSender {
  readonly #layer: UpperLayer
  /** As the peer announced: the P-DATA-TF without its six header bytes. */
  maxPduBytes = 0
  #last: Promise<void> = Promise.resolve()

  constructor(layer: UpperLayer) {
    this.#layer = layer
  }

  /** @throws what the data set throws; dimse/protocol when the association is over. Later messages are sent all the same. */
  send(contextId: number, command: CommandSet, dataset?: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    const sent = this.#last.then(async () => {
      await sendCommand(this.#layer, contextId, command)
      if (dataset) await sendDataset(this.#layer, contextId, dataset, this.maxPduBytes)
    })
    this.#last = sent.catch(() => undefined)
    return sent
  }
}
