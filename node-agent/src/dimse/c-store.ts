import { type Buffer } from 'node:buffer'
import { isProblem, Problem } from 'specs'
import { isUid } from './byte-reader.ts'
import { type CommandSet } from './command-set.ts'
import { type AcceptedContext } from './negotiation.ts'
import { type Answer, answerOf, type Caller, type ObjectWriter, status, type StorageSink } from './services.ts'

/** Fragments are gathered up to this size before they are written, so that few of them wait for the one before. */
const WRITE_BYTES = 256 * 1024

export type Sender = Caller

/**
 * One C-STORE from its command to its status. The data set streams into the sink; at most two writes' worth of it is in
 * memory. After a failure the rest is read and dropped, so that the association lives and the sender learns the reason.
 */
export class ReceivingObject {
  /** As named by the command, perhaps not a UID. */
  readonly sopInstanceUid: string
  readonly #writer: Promise<ObjectWriter>
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #queue: Promise<void> = Promise.resolve()
  #queued = 0
  #failure: { readonly error: unknown } | undefined

  constructor(command: CommandSet, context: AcceptedContext, sender: Sender, sink: StorageSink) {
    this.sopInstanceUid = command.affectedSopInstanceUid?.slice(0, 64) ?? ''
    this.#writer = beginObject(command, context, sender, sink)
    void this.#enqueue(async () => {
      await this.#writer
    })
  }

  /** @returns A promise while the sink is a whole write behind. */
  take(data: Buffer): Promise<void> | undefined {
    if (this.#failure) return
    this.#gathered.push(data)
    this.#gatheredBytes += data.length
    return this.#gatheredBytes >= WRITE_BYTES ? this.#flush() : undefined
  }

  /** The data set is complete: make it durable, and only then say so. */
  async commit(): Promise<{ readonly answer: Answer; readonly failure?: unknown }> {
    void this.#flush()
    await this.#queue
    try {
      if (this.#failure) throw this.#failure.error
      await (await this.#writer).commit()
      return { answer: { status: status.success } }
    } catch (error) {
      await this.abandon()
      return { answer: isProblem(error) ? answerOf(error) : { status: status.processingFailure }, failure: error }
    }
  }

  /** The association broke off, or the object was refused: nothing of it stays. */
  async abandon(): Promise<void> {
    this.#failure ??= { error: new Problem('dimse/protocol', { fault: 'the data set broke off' }) }
    this.#gathered = []
    await this.#queue
    const writer = await this.#writer.catch(() => undefined) // a refused object has nothing to drop
    await writer?.abort()
  }

  #flush(): Promise<void> | undefined {
    if (this.#gatheredBytes === 0) return
    const parts = this.#gathered
    this.#gathered = []
    this.#gatheredBytes = 0
    return this.#enqueue(async () => {
      const writer = await this.#writer
      for (const part of parts) await writer.write(part)
    })
  }

  /** One after the other; after the first failure nothing more is done. Answers what the caller should wait for: the work before this. */
  #enqueue(work: () => Promise<void>): Promise<void> | undefined {
    const before = this.#queued > 0 ? this.#queue : undefined
    this.#queued++
    this.#queue = this.#queue
      .then(async () => {
        if (!this.#failure) await work()
      })
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#gathered = []
      })
      .then(() => {
        this.#queued--
      })
    return before
  }
}

async function beginObject(command: CommandSet, context: AcceptedContext, sender: Sender, sink: StorageSink): Promise<ObjectWriter> {
  const { affectedSopClassUid: sopClassUid = '', affectedSopInstanceUid: sopInstanceUid = '' } = command
  if (context.kind !== 'storage' && context.kind !== 'private')
    throw new Problem('archive/sop-class-not-supported', { abstractSyntaxUid: context.abstractSyntaxUid })
  // Only digits and dots go on from here: whatever becomes of these names, they are no path.
  if (!isUid(sopClassUid) || !isUid(sopInstanceUid))
    throw new Problem('archive/bad-uid', { element: isUid(sopClassUid) ? 'AffectedSOPInstanceUID' : 'AffectedSOPClassUID' })
  return sink.begin({ sopClassUid, sopInstanceUid, transferSyntaxUid: context.transferSyntaxUid, ...sender })
}
