import { type Buffer } from 'node:buffer'
import { type CommandSet, encodeCommandSet } from './command-set.ts'
import { PDV_HEADER_BYTES } from './pdu.ts'
import { type UpperLayer } from './upper-layer.ts'

/** Sends a command without data set. It is shorter than any maximum PDU that we accept, so one P-DATA-TF is enough. */
export async function sendCommand(layer: UpperLayer, contextId: number, command: CommandSet): Promise<void> {
  await layer.send(contextId, true, true, encodeCommandSet(command))
}

/**
 * Sends a data set in pieces of at most the peer's maximum PDU, each as soon as the connection has room for it.
 * @param maxPduBytes as the peer announced: the P-DATA-TF without its six header bytes.
 */
export async function sendDataset(
  layer: UpperLayer,
  contextId: number,
  dataset: AsyncIterable<Buffer> | Iterable<Buffer>,
  maxPduBytes: number,
): Promise<void> {
  const maxDataBytes = (maxPduBytes - PDV_HEADER_BYTES) & ~1 // fragments have an even length (PS3.8 E.2)
  // One piece is kept back, because only at the end is it known which is the last.
  let kept: Buffer | undefined
  for await (const chunk of dataset) {
    for (let at = 0; at < chunk.length; at += maxDataBytes) {
      if (kept !== undefined) await layer.send(contextId, false, false, kept)
      kept = chunk.subarray(at, at + maxDataBytes)
    }
  }
  if (kept !== undefined) await layer.send(contextId, false, true, kept)
}
