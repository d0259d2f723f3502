import { type Buffer } from 'node:buffer'
import { type EchoResult, isProblem, Problem, problemDetails } from 'specs'
import { EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { type ProposedContext } from './associate-pdu.ts'
import { type CommandSet, commandFields, DATASET_FOLLOWS, NO_DATASET } from './command-set.ts'
import { decideDelivery, type Delivery } from './delivery.ts'
import { defaultScuSettings, type DicomPeer, RequestedAssociation, type ScuSettings } from './requested-association.ts'
import { VERIFICATION } from './sop-classes.ts'

export type { DicomPeer } from './requested-association.ts'
export type { Delivery } from './delivery.ts'

/** Timeouts that are not named have defaults. */
export type ScuOptions = Pick<ScuSettings, 'callingAeTitle'> & Partial<ScuSettings>

/** C-ECHO (FED-15): whether the peer answers, how long it took from connecting to the answer, and otherwise why not. Never throws for the peer's sake. */
export async function echo(peer: DicomPeer, options: ScuOptions): Promise<EchoResult> {
  const started = performance.now()
  const elapsed = () => Math.round((performance.now() - started) * 10) / 10
  const context: ProposedContext = { id: 1, abstractSyntaxUid: VERIFICATION, transferSyntaxUids: [IMPLICIT_LE] }
  try {
    const association = await RequestedAssociation.open(peer, [context], { ...defaultScuSettings, responseMs: 15_000, ...options })
    const accepted = association.contextFor(context)
    if (isProblem(accepted)) {
      await association.release()
      throw accepted
    }
    const { status = -1 } = await association.request(accepted.id, {
      commandField: commandFields.cEcho,
      affectedSopClassUid: VERIFICATION,
      commandDataSetType: NO_DATASET,
    })
    const milliseconds = elapsed()
    await association.release()
    if (status !== 0) throw new Problem('dimse/failed-at-peer', { status: status.toString(16) })
    return { ok: true, milliseconds }
  } catch (error) {
    if (!isProblem(error)) throw error
    return { ok: false, milliseconds: elapsed(), code: error.code, title: problemDetails(error).title }
  }
}

/** An instance as it is stored; it goes out in that transfer syntax, or uncompressed to a peer that does not take it, or not at all. */
export interface InstanceToSend {
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  readonly transferSyntaxUid: string
  /** The data set as stored, without preamble and file meta information. */
  open(): Promise<AsyncIterable<Buffer>>
  /** The same in another transfer syntax, where that can be made. @throws {Problem} archive/not-transcodable */
  openAs?(transferSyntaxUid: string): Promise<AsyncIterable<Buffer>>
}

/** What every peer must take, and nothing of the pixels is lost (PS3.5 10.1). */
export const plainSyntaxUids: readonly string[] = [EXPLICIT_LE, IMPLICIT_LE]

export interface SendOptions extends ScuOptions {
  /** Associations at the same time, 1 unless told: the link is the limit more often than the peer. */
  readonly associations?: number
  /** After each instance, in the order of answers. */
  onDelivery?(delivery: Delivery, progress: SendProgress): void
  /** Breaks off at once. */
  readonly signal?: AbortSignal
  /** Lets the instance under way be finished and begins no other; those are not delivered and not told. */
  readonly finish?: AbortSignal
  /** How often an association that broke off is opened again for what is left; 0 unless told. */
  readonly reconnects?: number
  /** Told with each C-STORE: who asked us to send, by which request (PS3.7 9.1.1). */
  readonly moveOriginator?: { readonly aeTitle: string; readonly messageId: number }
}

export interface SendProgress {
  readonly delivered: number
  readonly failed: number
  readonly total: number
}

/** Presentation contexts in one association: odd IDs up to 255 (PS3.8 9.3.2.2). */
const MAX_CONTEXTS = 128

/**
 * Sends instances by C-STORE, several per association, each in its stored transfer syntax. What the peer does not accept
 * is told per instance; an association that ends early leaves its instances as failures that may be tried again.
 *
 * @returns One delivery per instance, in no particular order. Rejects only for a bug.
 */
export async function sendInstances(peer: DicomPeer, instances: readonly InstanceToSend[], options: SendOptions): Promise<Delivery[]> {
  const sending = new Sending(peer, instances.length, options)
  for (const group of groupsOfContexts(instances)) await sending.sendGroup(group)
  return sending.deliveries
}

interface Group {
  readonly contexts: readonly ProposedContext[]
  readonly instances: readonly Member[]
}

interface Member {
  readonly instance: InstanceToSend
  readonly context: ProposedContext
  /** The class uncompressed, for what can be made so. */
  readonly plain: ProposedContext | undefined
}

/** One context per pair of class and syntax, so that the peer's answer tells about each pair by itself; and one per class for what may have to be changed. */
export function groupsOfContexts(instances: readonly InstanceToSend[]): Group[] {
  const groups: { contexts: Map<string, ProposedContext>; instances: Member[] }[] = []
  for (const instance of instances) {
    const { sopClassUid, transferSyntaxUid } = instance
    const pair = `${sopClassUid} ${transferSyntaxUid}`
    const plainPair = instance.openAs && `${sopClassUid} plain`
    const needed = instance.openAs ? 2 : 1
    const fits = ({ contexts }: { contexts: ReadonlyMap<string, unknown> }) =>
      (contexts.has(pair) && (plainPair === undefined || contexts.has(plainPair))) || contexts.size + needed <= MAX_CONTEXTS
    let group = groups.find(fits)
    if (!group) groups.push((group = { contexts: new Map(), instances: [] }))
    const { contexts } = group
    const contextOf = (key: string, transferSyntaxUids: readonly string[]): ProposedContext => {
      const context = contexts.get(key) ?? { id: contexts.size * 2 + 1, abstractSyntaxUid: sopClassUid, transferSyntaxUids }
      contexts.set(key, context)
      return context
    }
    const context = contextOf(pair, [transferSyntaxUid])
    group.instances.push({ instance, context, plain: plainPair === undefined ? undefined : contextOf(plainPair, plainSyntaxUids) })
  }
  return groups.map(({ contexts, instances: members }) => ({ contexts: [...contexts.values()], instances: members }))
}

class Sending {
  readonly deliveries: Delivery[] = []
  readonly #peer: DicomPeer
  readonly #total: number
  readonly #options: SendOptions
  readonly #settings: ScuSettings

  constructor(peer: DicomPeer, total: number, options: SendOptions) {
    this.#peer = peer
    this.#total = total
    this.#options = options
    this.#settings = { ...defaultScuSettings, ...options }
  }

  async sendGroup(group: Group): Promise<void> {
    const waiting = [...group.instances].reverse()
    const associations = Math.max(1, Math.min(this.#options.associations ?? 1, waiting.length))
    const ends = await Promise.all(Array.from({ length: associations }, () => this.#workOn(group, waiting)))
    if (this.#options.finish?.aborted && !this.#options.signal?.aborted) return
    // Left over only when every association ended early: the last reason stands for all of them.
    const reason = ends.find((end) => end !== undefined)
    for (const { instance } of waiting)
      this.#deliver({ kind: 'failed', sopInstanceUid: instance.sopInstanceUid, again: 'transient', problem: reason ?? cancelled() })
  }

  /** One association, opened again when it breaks off before the work is done. @returns why it was given up. */
  async #workOn(group: Group, waiting: Group['instances'][number][]): Promise<Problem | undefined> {
    for (let left = this.#options.reconnects ?? 0; ; left--) {
      const before = waiting.length
      const ended = await this.#work(group, waiting)
      // Nothing was tried: whoever cannot be reached is not asked again and again.
      if (ended === undefined || left <= 0 || waiting.length === 0 || waiting.length === before || this.#isStopped) return ended
    }
  }

  get #isStopped(): boolean {
    const { signal, finish } = this.#options
    return signal?.aborted === true || finish?.aborted === true
  }

  /** One association. @returns why it ended before the work was done. */
  async #work(group: Group, waiting: Group['instances'][number][]): Promise<Problem | undefined> {
    if (this.#options.signal?.aborted) return cancelled()
    let association: RequestedAssociation
    try {
      association = await RequestedAssociation.open(this.#peer, group.contexts, this.#settings)
    } catch (error) {
      if (isProblem(error)) return error
      throw error
    }
    const stop = () => association.abort(cancelled())
    this.#options.signal?.addEventListener('abort', stop, { once: true })
    try {
      while (!this.#options.finish?.aborted) {
        const next = waiting.pop()
        if (next === undefined) break
        const ended = await this.#store(association, next)
        if (ended) return ended
      }
      await association.release()
      return undefined
    } finally {
      this.#options.signal?.removeEventListener('abort', stop)
    }
  }

  /** One instance. @returns the problem when the association is over with it. */
  async #store(association: RequestedAssociation, { instance, context, plain }: Member): Promise<Problem | undefined> {
    const { sopInstanceUid } = instance
    const asStored = association.contextFor(context)
    const inPlain = isProblem(asStored) && plain ? association.contextFor(plain) : asStored
    const accepted = isProblem(inPlain) ? asStored : inPlain
    if (isProblem(accepted)) {
      this.#deliver({ kind: 'failed', sopInstanceUid, again: 'permanent', problem: accepted })
      return undefined
    }
    let dataset: AsyncIterable<Buffer>
    try {
      dataset = accepted === asStored || !instance.openAs ? await instance.open() : await instance.openAs(accepted.transferSyntaxUid)
    } catch (error) {
      this.#deliver({ kind: 'failed', sopInstanceUid, again: 'permanent', problem: isProblem(error) ? error : unreadable(error) })
      return undefined
    }
    try {
      const command = storeCommand(instance, this.#options.moveOriginator)
      this.#deliver(decideDelivery(sopInstanceUid, await association.request(accepted.id, command, dataset)))
      return undefined
    } catch (error) {
      const problem = isProblem(error) ? error : unreadable(error)
      // Perhaps stored, perhaps not; whoever stores images drops a repeated SOP Instance, so trying again is safe.
      this.#deliver({ kind: 'failed', sopInstanceUid, again: 'transient', problem })
      return problem
    }
  }

  #deliver(delivery: Delivery): void {
    this.deliveries.push(delivery)
    const failed = this.deliveries.filter((each) => each.kind === 'failed').length
    this.#options.onDelivery?.(delivery, { delivered: this.deliveries.length - failed, failed, total: this.#total })
  }
}

/** C-STORE-RQ (PS3.7 9.3.1.1). */
export function storeCommand({ sopClassUid, sopInstanceUid }: Pick<InstanceToSend, 'sopClassUid' | 'sopInstanceUid'>, moveOriginator?: SendOptions['moveOriginator']): CommandSet {
  return {
    commandField: commandFields.cStore,
    affectedSopClassUid: sopClassUid,
    affectedSopInstanceUid: sopInstanceUid,
    priority: 0,
    commandDataSetType: DATASET_FOLLOWS,
    ...(moveOriginator && { moveOriginatorAeTitle: moveOriginator.aeTitle, moveOriginatorMessageId: moveOriginator.messageId }),
  }
}

function cancelled(): Problem {
  return new Problem('dimse/cancelled')
}

function unreadable(cause: unknown): Problem {
  return new Problem('archive/failed', { reason: 'the stored file could not be read' }, { cause })
}
