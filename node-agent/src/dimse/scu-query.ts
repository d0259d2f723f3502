import { Buffer } from 'node:buffer'
import { setTimeout as delay } from 'node:timers/promises'
import { isProblem, Problem } from 'specs'
import { type AnswerCharset, anElement, type DataElement, readDataSet, textAt, textsOf, writeDataSet } from '../dicom/data-set.ts'
import { EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { type ProposedContext } from './associate-pdu.ts'
import { type CommandSet, commandFields, DATASET_FOLLOWS } from './command-set.ts'
import { encodeExtended, readExtended } from './extended-negotiation.ts'
import { type IncomingStores, storageContexts } from './incoming-stores.ts'
import { type DicomPeer, defaultScuSettings, type Offer, RequestedAssociation, type ScuSettings } from './requested-association.ts'
import { type ScuOptions } from './scu.ts'
import { type QueryLevel, type StorageSink, status as statuses } from './services.ts'
import { PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE } from './sop-classes.ts'

/** PS3.4 C.6: which information model the peer is asked in. */
export type QueryRoot = 'patient' | 'study'

/** What is asked for. PATIENT exists in Patient Root alone. */
export interface Asked {
  readonly root: QueryRoot
  readonly level: QueryLevel
  /** DICOM keyword → text as in an identifier; '' asks for the value. Several UIDs are joined by backslash. */
  readonly keys: Readonly<Record<string, string>>
}

export interface QueryOptions extends ScuOptions {
  /** Stops the peer by C-CANCEL; what was under way ends with dimse/cancelled (find) or with what has come so far (move, get). */
  readonly signal?: AbortSignal
  /** Asks for relational queries (PS3.4 C.5.1.1): keys of the levels above may be missing where the peer agrees. */
  readonly relational?: boolean
  /** Of our keys, when they are not plain ASCII; ISO_IR 192 unless told. */
  readonly charset?: AnswerCharset
}

/** Sub-operations of a retrieval as the peer counts them (PS3.7 9.1.4). */
export interface RetrieveProgress {
  readonly remaining: number
  readonly completed: number
  readonly failed: number
  readonly warning: number
}

export interface RetrieveOptions extends QueryOptions {
  /** After each pending response that tells counts. */
  onProgress?(progress: RetrieveProgress): void
}

/** How a retrieval ended. `status` is the peer's last (PS3.4 C.4.2.1.5): 0x0000 all done, 0xB000 some failed, 0xFE00 cancelled, others refused or failed. */
export interface Retrieved extends RetrieveProgress {
  readonly status: number
  /** What the peer could not send, where it says so. */
  readonly failedSopInstanceUids: readonly string[]
  /** The peer's words, perhaps with a patient's data: to be shown, never logged. */
  readonly errorComment?: string
}

export interface Fetched extends Retrieved {
  /** SOP Instance UIDs that `storage` took. */
  readonly stored: readonly string[]
  readonly refused: readonly { readonly sopInstanceUid: string; readonly problem: Problem }[]
}

const findClasses = { patient: PATIENT_ROOT_FIND, study: STUDY_ROOT_FIND } as const
const moveClasses = { patient: PATIENT_ROOT_MOVE, study: STUDY_ROOT_MOVE } as const
const getClasses = { patient: PATIENT_ROOT_GET, study: STUDY_ROOT_GET } as const

/** A peer that goes on after our C-CANCEL is waited for this long. */
const CANCEL_MS = 5_000
/** Matches that may wait for whoever reads them; then the peer waits. */
const MAX_WAITING = 200
/** Many archives say nothing between the request and the end of a retrieval. */
const RETRIEVE_MS = 15 * 60_000

/**
 * C-FIND at a peer, in the order of its answers. Reading slowly holds the peer back; leaving the loop early cancels the query.
 *
 * @returns DICOM keyword → text, decoded by the answer's own character set, several values joined by backslash; elements without keyword are left out.
 * @throws {Problem} outbound/refused, dimse/unreachable, dimse/rejected, dimse/not-accepted, dimse/timeout, dimse/lost, dimse/protocol;
 *   dimse/failed-at-peer with its status; dimse/cancelled
 */
export async function* findAt(peer: DicomPeer, asked: Asked, options: QueryOptions): AsyncGenerator<Readonly<Record<string, string>>> {
  const asking = await Asking.open(peer, findClasses[asked.root], asked, options)
  const waiting: Readonly<Record<string, string>>[] = []
  let news = signalled()
  let room: (() => void) | undefined
  let end: { status?: number | undefined; problem?: unknown } | undefined
  const ended = asking.ask(commandFields.cFind, {}, ({ dataset }) => {
    if (dataset) waiting.push(textsOf(readDataSet(dataset, asking.transferSyntaxUid)))
    news.happen()
    if (waiting.length < MAX_WAITING) return
    return new Promise<void>((resolve) => {
      room = resolve
    })
  })
  const done = ended.then(
    ({ command }) => (end = { status: command.status }),
    (problem: unknown) => (end = { problem }),
  )
  void done.then(() => news.happen())
  try {
    for (;;) {
      for (let match = waiting.shift(); match !== undefined; match = waiting.shift()) yield match
      room?.()
      if (end) break
      await news.happened
      news = signalled()
    }
    if (end.problem !== undefined) throw end.problem
    if (options.signal?.aborted || end.status === statuses.cancelled) throw new Problem('dimse/cancelled')
    if (end.status !== statuses.success) throw failedAtPeer(end.status)
  } finally {
    room?.()
    await asking.finish(done)
  }
}

/**
 * C-MOVE at a peer: it sends to `destinationAeTitle`, which it must know. Resolves with whatever status it ends by.
 * @throws {Problem} as findAt, but for the peer's status
 */
export async function moveFrom(peer: DicomPeer, asked: Asked & { readonly destinationAeTitle: string }, options: RetrieveOptions): Promise<Retrieved> {
  const asking = await Asking.open(peer, moveClasses[asked.root], asked, { responseMs: RETRIEVE_MS, ...options })
  return asking.retrieve(commandFields.cMove, { moveDestination: asked.destinationAeTitle }, options)
}

/**
 * C-GET at a peer: it sends on our own association, into `storage` (which decides the status of each object, as for C-STORE).
 *
 * @param asked.sopClassUids which storage classes may come, best from a C-FIND at IMAGE level before; the usual ones unless told.
 * @returns what the peer counted and what `storage` took.
 * @throws {Problem} as findAt, but for the peer's status
 */
export async function getFrom(
  peer: DicomPeer,
  asked: Asked & { readonly sopClassUids?: readonly string[] },
  storage: StorageSink,
  options: RetrieveOptions,
): Promise<Fetched> {
  const { contexts, roles, stores } = storageContexts(peer, storage, asked.sopClassUids)
  const asking = await Asking.open(peer, getClasses[asked.root], asked, { responseMs: RETRIEVE_MS, ...options }, { contexts, roles, stores })
  const retrieved = await asking.retrieve(commandFields.cGet, {}, options)
  return { ...retrieved, stored: stores.stored, refused: stores.refused }
}

interface Storing {
  readonly contexts: readonly ProposedContext[]
  readonly roles: NonNullable<Offer['roles']>
  readonly stores: IncomingStores
}

/** One question on an association of its own. */
class Asking {
  readonly transferSyntaxUid: string
  readonly #association: RequestedAssociation
  readonly #contextId: number
  readonly #sopClassUid: string
  readonly #asked: Asked
  readonly #options: QueryOptions
  readonly #cancel = () => void this.#association.cancel().catch(() => undefined)

  private constructor(association: RequestedAssociation, context: { id: number; transferSyntaxUid: string }, sopClassUid: string, asked: Asked, options: QueryOptions) {
    this.#association = association
    this.#contextId = context.id
    this.transferSyntaxUid = context.transferSyntaxUid
    this.#sopClassUid = sopClassUid
    this.#asked = asked
    this.#options = options
  }

  static async open(peer: DicomPeer, sopClassUid: string, asked: Asked, options: QueryOptions, storing?: Storing): Promise<Asking> {
    if (options.signal?.aborted) throw new Problem('dimse/cancelled')
    const settings: ScuSettings = { ...defaultScuSettings, ...options }
    const context: ProposedContext = { id: 1, abstractSyntaxUid: sopClassUid, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }
    const association = await RequestedAssociation.open(peer, [context, ...(storing?.contexts ?? [])], settings, {
      ...(storing && { roles: storing.roles, onRequest: (open, command) => storing.stores.begin(open, command) }),
      ...(options.relational && { extendedNegotiation: [{ sopClassUid, information: encodeExtended({ relational: true }) }] }),
    })
    const accepted = association.contextFor(context)
    const refusal = isProblem(accepted)
      ? accepted
      : options.relational && !readExtended(association.extendedAnswer(sopClassUid)).relational && !isHierarchical(asked)
        ? new Problem('dimse/not-accepted', { sopClassUid, result: 'relational queries not supported' })
        : undefined
    if (isProblem(accepted) || refusal) {
      await association.release()
      throw refusal ?? accepted
    }
    return new Asking(association, accepted, sopClassUid, asked, options)
  }

  ask(commandField: number, more: Partial<CommandSet>, onPending: Parameters<RequestedAssociation['exchange']>[3]) {
    const command: CommandSet = { ...more, commandField, affectedSopClassUid: this.#sopClassUid, priority: 0, commandDataSetType: DATASET_FOLLOWS }
    const { signal } = this.#options
    if (signal?.aborted) this.#cancel()
    else signal?.addEventListener('abort', this.#cancel, { once: true })
    return this.#association.exchange(this.#contextId, command, [identifierOf(this.#asked, this.transferSyntaxUid, this.#options.charset)], onPending)
  }

  /** Whatever is still under way is cancelled; a peer that does not care is left. */
  async finish(done: Promise<unknown>): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#cancel)
    const late = new AbortController()
    const patience = delay(CANCEL_MS, 'late', { signal: late.signal }).catch(() => undefined)
    this.#cancel()
    const outcome = await Promise.race([done, patience])
    late.abort()
    if (outcome === 'late') this.#association.abort(new Problem('dimse/cancelled'))
    else await this.#association.release().catch(() => undefined)
  }

  async retrieve(commandField: number, more: Partial<CommandSet>, { onProgress }: RetrieveOptions): Promise<Retrieved> {
    let last: RetrieveProgress = { remaining: 0, completed: 0, failed: 0, warning: 0 }
    const asked = this.ask(commandField, more, ({ command }) => {
      last = progressOf(command, last)
      onProgress?.(last)
      return undefined
    })
    try {
      const { command, dataset } = await asked
      const failed = dataset ? textAt(readDataSet(dataset, this.transferSyntaxUid), 'FailedSOPInstanceUIDList') : ''
      return {
        ...progressOf(command, { ...last, remaining: 0 }),
        status: command.status ?? statuses.unableToProcess,
        failedSopInstanceUids: failed === '' ? [] : failed.split('\\'),
        ...(command.errorComment !== undefined && { errorComment: command.errorComment }),
      }
    } finally {
      await this.finish(asked.catch(() => undefined))
    }
  }
}

/** Keys of the levels above are all there, so that a peer without relational queries can answer as well. */
function isHierarchical({ root, level, keys }: Asked): boolean {
  const unique = ['PatientID', 'StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID']
  const depth = ['PATIENT', 'STUDY', 'SERIES', 'IMAGE'].indexOf(level)
  return unique.slice(root === 'patient' ? 0 : 1, depth).every((keyword) => (keys[keyword] ?? '') !== '')
}

function identifierOf({ level, keys }: Asked, transferSyntaxUid: string, charset: AnswerCharset = 'ISO_IR 192'): Buffer {
  const elements: DataElement[] = Object.entries(keys).map(([keyword, text]) => anElement(keyword, text))
  // A station of old that knows no character set but ASCII understands a plain question all the same.
  const isPlain = Object.values(keys).every((text) => Buffer.byteLength(text) === text.length)
  const named = isPlain ? [] : [anElement('SpecificCharacterSet', charset)]
  return writeDataSet([...named, anElement('QueryRetrieveLevel', level), ...elements], transferSyntaxUid, charset)
}

function progressOf(command: CommandSet, before: RetrieveProgress): RetrieveProgress {
  return {
    remaining: command.numberOfRemainingSuboperations ?? before.remaining,
    completed: command.numberOfCompletedSuboperations ?? before.completed,
    failed: command.numberOfFailedSuboperations ?? before.failed,
    warning: command.numberOfWarningSuboperations ?? before.warning,
  }
}

/** The peer's comment is left out: it may name the patient. */
function failedAtPeer(status: number | undefined): Problem {
  return new Problem('dimse/failed-at-peer', { status: status?.toString(16).padStart(4, '0') ?? 'none' })
}

function signalled(): { readonly happened: Promise<void>; happen(): void } {
  let happen: () => void = () => undefined
  const happened = new Promise<void>((resolve) => {
    happen = resolve
  })
  return { happened, happen: () => happen() }
}
