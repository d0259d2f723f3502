import { type Buffer } from 'node:buffer'
import { anElement, MAX_SHORT_BYTES, writeDataSet } from '../dicom/data-set.ts'
import { type CommandSet } from './command-set.ts'
import { type Delivery } from './delivery.ts'
import { type Reply, status } from './services.ts'

/** Counts stand in 16 bits (PS3.7 E.1-1); of a patient with more images the rest is not counted. */
const MAX_COUNT = 0xffff

/** The C-STORE sub-operations of one retrieval, counted as its responses tell them (PS3.7 9.1.4.1). */
export class SubOperations {
  readonly #total: number
  readonly #failed: string[] = []
  #completed = 0
  #warning = 0

  constructor(total: number) {
    this.#total = total
  }

  add(delivery: Delivery): void {
    if (delivery.kind === 'failed') this.#failed.push(delivery.sopInstanceUid)
    else if (delivery.warning !== undefined && delivery.warning >> 12 === 0xb) this.#warning++
    else this.#completed++
  }

  get done(): number {
    return this.#completed + this.#warning + this.#failed.length
  }

  get failedSopInstanceUids(): readonly string[] {
    return this.#failed
  }

  pending(): Reply {
    return { answer: { status: status.pending }, command: { ...this.#counts(), ...this.#remaining() } }
  }

  /**
   * The last response (PS3.4 C.4.2.3.1): success, a warning when some failed, a failure when all did, or cancelled.
   * @param transferSyntaxUid of the request, for the list of what failed.
   */
  final(transferSyntaxUid: string, { cancelled = false } = {}): Reply {
    const failed = this.#failed.length
    const isCancelled = cancelled && this.done < this.#total
    const all = failed > 0 && this.#completed + this.#warning === 0
    const code = isCancelled ? status.cancelled : all ? status.unableToPerformSuboperations : failed + this.#warning > 0 ? status.someSuboperationsFailed : status.success
    return {
      answer: { status: code, ...(all && !isCancelled && { errorComment: 'no instance could be sent' }) },
      command: { ...this.#counts(), ...(isCancelled && this.#remaining()) },
      ...(failed > 0 && { dataset: failedList(this.#failed, transferSyntaxUid) }),
    }
  }

  #counts(): Partial<CommandSet> {
    return {
      numberOfCompletedSuboperations: Math.min(this.#completed, MAX_COUNT),
      numberOfFailedSuboperations: Math.min(this.#failed.length, MAX_COUNT),
      numberOfWarningSuboperations: Math.min(this.#warning, MAX_COUNT),
    }
  }

  #remaining(): Partial<CommandSet> {
    return { numberOfRemainingSuboperations: Math.min(Math.max(0, this.#total - this.done), MAX_COUNT) }
  }
}

/** Failed SOP Instance UID List (0008,0058), as many as its 16-bit length can tell: about a thousand. */
function failedList(uids: readonly string[], transferSyntaxUid: string): Buffer {
  let lengthBytes = 0
  const told = uids.filter((uid) => (lengthBytes += uid.length + 1) <= MAX_SHORT_BYTES)
  return writeDataSet([anElement('FailedSOPInstanceUIDList', told.join('\\'))], transferSyntaxUid, 'ISO_IR 192')
}
