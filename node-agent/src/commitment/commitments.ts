import { type Database, type Log, type Transaction } from 'service-kit'
import { type EpochMs, isProblem, Problem } from 'specs'
import { type Archive } from '../archive/archive.ts'
import { commandFields } from '../dimse/command-set.ts'
import { type DicomPeer, type ScuOptions } from '../dimse/scu.ts'
import { type AskablePeer, type Caller, type MessageService, type Reply, type SmallRequest, status } from '../dimse/services.ts'
import { checkInstances } from './check.ts'
import { addCommitment, changeCommitment, type Commitment, type CommitmentChange, dueCommitments, findCommitment, forgetCommitments, nextCommitmentAt } from './store.ts'
import { COMMITMENT_INSTANCE, type CommitmentResult, type InstanceReference, newTransactionUid, readRequest, readResult, REQUEST_COMMITMENT, writeResult } from './transaction.ts'
import { askForCommitment, eventReport, MAX_TRANSACTION_BYTES, reportCommitment } from './wire.ts'

export interface CommitmentParts {
  readonly db: Database
  readonly log: Log
  /** Where what we commit to is kept, as things stand. */
  archives(): readonly Pick<Archive, 'instance' | 'open'>[]
  /** Who we are when we call, and where what is committed can be fetched. */
  readonly sending: ScuOptions
  /** Whether this caller may ask for commitments. @throws {Problem} access/… */
  admit(caller: Caller): Promise<void>
  /** Where somebody of this AE title is reached: the registered node. */
  peerOf(aeTitle: string, remoteAddress: string): Promise<DicomPeer | undefined>
  /** A result was told, or came: in the transaction that records it. */
  onResult?(tx: Transaction, about: Commitment, result: CommitmentResult): Promise<void>
  /** The same, after it. */
  onSettled?(about: Commitment, result: CommitmentResult): Promise<void>
  readonly now?: () => EpochMs
  /** The wait after the first failed attempt; it doubles with each. */
  readonly retryWaitMs?: number
  readonly maxRetryWaitMs?: number
  /** How long we go on telling, and wait for an answer. */
  readonly giveUpMs?: number
  /** How long the answer to our own question may come on the association of the question. */
  readonly answerWaitMs?: number
}

const DAY_MS = 86_400_000
/** Time for the peer to read our response before the report follows on the same association. */
const GRACE_MS = 200
const KEEP_MS = 90 * DAY_MS

/** What is asked of a node, in the words of whoever wants it. */
export interface AskedCommitment {
  readonly nodeId: string
  readonly aeTitle: string
  readonly instances: readonly InstanceReference[]
  /** Comes back with the result: a job's number, for instance. */
  readonly subject?: string
}

/**
 * Storage commitment, push model (PS3.4 J): we answer for what others have sent us, and ask nodes whether they answer for what we sent.
 * Every transaction is a row before it is acknowledged, and goes on after a restart until the other side has been told, or has told.
 */
export class Commitments {
  readonly #parts: CommitmentParts & Required<Pick<CommitmentParts, 'now' | 'retryWaitMs' | 'maxRetryWaitMs' | 'giveUpMs'>>
  /** Associations on which a request came and that may still be open. */
  readonly #open = new Map<string, { readonly peer: AskablePeer; readonly contextId: number; readonly transferSyntaxUid: string }>()
  readonly #stopping = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  #looking: Promise<void> | undefined
  #lookAgain = false

  constructor(parts: CommitmentParts) {
    this.#parts = { now: Date.now, retryWaitMs: 5_000, maxRetryWaitMs: 10 * 60_000, giveUpMs: DAY_MS, ...parts }
  }

  /** Asks a node to commit itself to what was sent to it, in the caller's transaction. @returns the Transaction UID. */
  async ask(tx: Transaction, { nodeId, aeTitle, instances, subject = '' }: AskedCommitment): Promise<string> {
    const transactionUid = newTransactionUid()
    await addCommitment(tx, { direction: 'asked', transactionUid, aeTitle, remoteAddress: '', nodeId, subject, instances }, this.#parts.now())
    tx.afterCommit(() => this.wake())
    return transactionUid
  }

  async start(): Promise<void> {
    await forgetCommitments(this.#parts.db, this.#parts.now() - KEEP_MS)
    this.wake()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#looking
  }

  /** A person asks for another attempt, now. @throws {Problem} dimse/unknown-transaction */
  async retry(transactionUid: string): Promise<void> {
    const { db, now } = this.#parts
    const known = (await findCommitment(db, { direction: 'given', transactionUid })) ?? (await findCommitment(db, { direction: 'asked', transactionUid }))
    if (!known) throw new Problem('dimse/unknown-transaction', { transactionUid })
    await changeCommitment(db, known, { state: 'waiting', attempts: 0, nextAttemptAt: now() }, ['retrying', 'failed', 'awaiting'], now())
    this.wake()
  }

  /** The service on our DICOM ports. */
  get service(): MessageService {
    return {
      kind: 'commitment',
      commands: [commandFields.nAction, commandFields.nEventReport],
      maxDataSetBytes: MAX_TRANSACTION_BYTES,
      answer: (request, _signal, peer) => (request.command.commandField === commandFields.nAction ? this.#takeRequest(request, peer) : this.#takeReport(request)),
    }
  }

  /** N-ACTION: durable before it is answered; the result follows by N-EVENT-REPORT. */
  async *#takeRequest({ command, dataset, transferSyntaxUid, contextId, caller }: SmallRequest, peer: AskablePeer): AsyncGenerator<Reply> {
    if (command.actionTypeId !== REQUEST_COMMITMENT) return yield { answer: { status: status.noSuchActionType } }
    if (command.requestedSopInstanceUid !== COMMITMENT_INSTANCE || dataset === undefined) return yield { answer: { status: status.noSuchInstance } }
    const { db, now } = this.#parts
    await this.#parts.admit(caller)
    const { transactionUid, instances } = readRequest(dataset, transferSyntaxUid)
    const { callingAeTitle: aeTitle, remoteAddress } = caller
    this.#open.set(`${aeTitle} ${transactionUid}`, { peer, contextId, transferSyntaxUid })
    await addCommitment(db, { direction: 'given', transactionUid, aeTitle, remoteAddress, nodeId: null, subject: null, instances }, now(), now() + GRACE_MS)
    this.wake()
    yield { answer: { status: status.success }, command: { actionTypeId: REQUEST_COMMITMENT } }
  }

  /** N-EVENT-REPORT on an association that a node opened to us: the answer to a question of ours. */
  async *#takeReport({ command, dataset, transferSyntaxUid, caller }: SmallRequest): AsyncGenerator<Reply> {
    if (command.eventTypeId !== 1 && command.eventTypeId !== 2) return yield { answer: { status: status.noSuchEventType } }
    if (dataset === undefined) return yield { answer: { status: status.invalidArgument } }
    const result = readResult(dataset, transferSyntaxUid)
    const asked = await findCommitment(this.#parts.db, { direction: 'asked', transactionUid: result.transactionUid })
    // Many answer by another title than the one they are called by; the transaction's number cannot be guessed.
    if (!asked) throw new Problem('dimse/unknown-transaction', { transactionUid: result.transactionUid, aeTitle: caller.callingAeTitle })
    await this.#answered(asked, result)
    yield { answer: { status: status.success }, command: { eventTypeId: command.eventTypeId } }
  }

  async #answered(asked: Commitment, told: CommitmentResult): Promise<void> {
    // What the answer does not name was not committed.
    const named = new Set([...told.committed, ...told.failed].map(({ sopInstanceUid }) => sopInstanceUid))
    const silent = asked.instances.filter(({ sopInstanceUid }) => !named.has(sopInstanceUid)).map((instance) => ({ ...instance, reason: 0 }))
    const result = { ...told, failed: [...told.failed, ...silent] }
    const problem = result.failed.length > 0 ? new Problem('dimse/not-committed', { instances: result.failed.length }) : undefined
    const change: CommitmentChange = { state: problem ? 'failed' : 'done', attempts: asked.attempts, nextAttemptAt: null, result, problem }
    await this.#settle(asked, result, change, ['waiting', 'retrying', 'awaiting'])
  }

  async #settle(about: Commitment, result: CommitmentResult, change: CommitmentChange, from: readonly Commitment['state'][]): Promise<void> {
    const { db, now, log, onResult, onSettled } = this.#parts
    const isSettled = await db.write(async (tx) => {
      const changed = await changeCommitment(tx, about, change, from, now())
      if (changed) await onResult?.(tx, about, result)
      return changed
    })
    if (isSettled) await onSettled?.(about, result).catch((error: unknown) => log.error({ err: error, transactionUid: about.transactionUid }, 'storage commitment not told on'))
  }

  wake(): void {
    if (this.#stopping.signal.aborted) return
    if (this.#looking) {
      this.#lookAgain = true
      return
    }
    clearTimeout(this.#timer)
    this.#looking = this.#look()
      .catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'storage commitments cannot be worked on')
        this.#sleep(this.#parts.retryWaitMs)
      })
      .finally(() => {
        this.#looking = undefined
        if (!this.#lookAgain) return
        this.#lookAgain = false
        this.wake()
      })
  }

  #sleep(waitMs: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopping.signal.aborted) this.#timer = setTimeout(() => this.wake(), Math.min(waitMs, 60_000))
  }

  async #look(): Promise<void> {
    const { db, now } = this.#parts
    for (;;) {
      const due = await dueCommitments(db, now())
      if (due.length === 0 || this.#stopping.signal.aborted) break
      // A peer that does not answer holds up its own transactions alone.
      await Promise.all(due.map((commitment) => this.#attempt(commitment)))
    }
    const next = await nextCommitmentAt(db)
    if (next !== undefined) this.#sleep(Math.max(0, next - now()))
  }

  async #attempt(commitment: Commitment): Promise<void> {
    const { db, now, log, retryWaitMs, maxRetryWaitMs, giveUpMs } = this.#parts
    const attempts = commitment.attempts + 1
    try {
      if (commitment.direction === 'given') await this.#tell(commitment, attempts)
      else await this.#ask(commitment, attempts)
    } catch (error) {
      const problem = isProblem(error) ? error : new Problem('service/internal', {}, { cause: error })
      const { direction, transactionUid, aeTitle } = commitment
      log.warn({ direction, transactionUid, aeTitle, attempts, code: problem.code, facts: problem.facts, err: problem.cause }, 'storage commitment not settled')
      const waitMs = Math.min(retryWaitMs * 2 ** Math.min(attempts - 1, 20), maxRetryWaitMs)
      const isHopeless = problem.code === 'dimse/unknown-node' || now() - commitment.createdAt > giveUpMs
      const change: CommitmentChange = isHopeless ? { state: 'failed', attempts, nextAttemptAt: null, problem } : { state: 'retrying', attempts, nextAttemptAt: now() + waitMs, problem }
      await changeCommitment(db, commitment, change, [commitment.state], now())
    }
  }

  /** Looks at the files and tells whoever asked: on its own association while that is open, otherwise on one of ours. */
  async #tell(commitment: Commitment, attempts: number): Promise<void> {
    const { sending } = this.#parts
    const { aeTitle, remoteAddress, transactionUid } = commitment
    const result = await checkInstances(commitment, this.#parts.archives())
    const key = `${aeTitle} ${transactionUid}`
    const opened = this.#open.get(key)
    this.#open.delete(key)
    const isTold = opened?.peer.isConnected === true && (await toldOn(opened, result, sending.callingAeTitle))
    if (!isTold) {
      const peer = await this.#parts.peerOf(aeTitle, remoteAddress)
      if (!peer) throw new Problem('dimse/unknown-node', { aeTitle })
      await reportCommitment(peer, result, sending.callingAeTitle, sending)
    }
    await this.#settle(commitment, result, { state: 'done', attempts, nextAttemptAt: null, result }, [commitment.state])
  }

  async #ask(commitment: Commitment, attempts: number): Promise<void> {
    const { db, now, sending, answerWaitMs, giveUpMs } = this.#parts
    if (commitment.state === 'awaiting') throw new Problem('dimse/timeout', { waitingFor: 'N-EVENT-REPORT' })
    const peer = await this.#parts.peerOf(commitment.aeTitle, '')
    if (!peer) throw new Problem('dimse/unknown-node', { aeTitle: commitment.aeTitle })
    const result = await askForCommitment(peer, commitment, { ...sending, ...(answerWaitMs !== undefined && { waitMs: answerWaitMs }) })
    if (result) return this.#answered(commitment, result)
    await changeCommitment(db, commitment, { state: 'awaiting', attempts, nextAttemptAt: commitment.createdAt + giveUpMs }, [commitment.state], now())
  }
}

/** @returns false when the association ended before the report was acknowledged: then it is told once more. */
async function toldOn({ peer, contextId, transferSyntaxUid }: { peer: AskablePeer; contextId: number; transferSyntaxUid: string }, result: CommitmentResult, aeTitle: string): Promise<boolean> {
  try {
    const response = await peer.request(contextId, eventReport(result), [writeResult(result, aeTitle, transferSyntaxUid)])
    return response.status === status.success
  } catch (error) {
    if (isProblem(error)) return false
    throw error
  }
}
