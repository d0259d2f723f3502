import { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import { tagOf, vrOf } from '../dicom/dictionary.ts'
import { type CommandSet, DATASET_FOLLOWS } from './command-set.ts'
import { type AnswerCharset, decodeIdentifier, encodeIdentifier, type Identifier } from './identifier.ts'
import { plainBehaviour } from './extended-negotiation.ts'
import { type MessageSender } from './message-sender.ts'
import { type AcceptedContext } from './negotiation.ts'
import { type Answer, type QueryLevel, type QuerySource, responseTo, status } from './services.ts'
import { PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE } from './sop-classes.ts'

/** Collects the identifier of a query; one that is too long is read to its end and then refused. */
export class IncomingIdentifier {
  readonly #maxBytes: number
  readonly #pieces: Buffer[] = []
  #sizeBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  take(data: Buffer): void {
    this.#sizeBytes += data.length
    if (this.#sizeBytes <= this.#maxBytes) this.#pieces.push(data)
  }

  whole(): Buffer {
    if (this.#sizeBytes > this.#maxBytes)
      throw new Problem('archive/unreadable', { reason: 'identifier too long', sizeBytes: this.#sizeBytes })
    return Buffer.concat(this.#pieces)
  }
}

/** PS3.4 C.6.1; the others are Study Root. */
const patientRoot: ReadonlySet<string> = new Set([PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET])
const levels = ['PATIENT', 'STUDY', 'SERIES', 'IMAGE'] as const satisfies readonly QueryLevel[]

/** PS3.4 C.6: the unique key of each level. Those above the level of the query name one object (C.4.1.2.1). */
export const uniqueKeys = {
  PATIENT: 'PatientID',
  STUDY: 'StudyInstanceUID',
  SERIES: 'SeriesInstanceUID',
  IMAGE: 'SOPInstanceUID',
} as const satisfies Record<QueryLevel, string>

/**
 * The level a query works at, or the answer that refuses it. Patient ID may be missing below PATIENT: stations that speak
 * Patient Root ask for studies by name or date, and the answer is the same as in Study Root.
 * @param relational negotiated (PS3.4 C.5.1.1): then nothing above the level need be named.
 */
export function decideLevel(keys: Identifier['keys'], sopClassUid: string, { relational = false } = {}): { level: QueryLevel } | { refused: Answer } {
  const text = keys['QueryRetrieveLevel'] ?? ''
  const level = levels.find((each) => each === text)
  if (level === undefined || (level === 'PATIENT' && !patientRoot.has(sopClassUid))) {
    return { refused: mismatch('Query/Retrieve Level missing or not of this model', 'QueryRetrieveLevel') }
  }
  for (const above of relational ? [] : levels.slice(1, levels.indexOf(level))) {
    const value = keys[uniqueKeys[above]] ?? ''
    if (value === '' || /[*?\\]/.test(value)) return { refused: mismatch(`${uniqueKeys[above]} must name one object`, uniqueKeys[above]) }
  }
  return { level }
}

export function mismatch(errorComment: string, keyword: string): Answer {
  return { status: status.identifierMismatch, errorComment, offendingElement: tagOf(keyword) ?? 0 }
}

/** Keys that steer the query instead of taking part in it. */
const control = new Set(['SpecificCharacterSet', 'QueryRetrieveLevel', 'RetrieveAETitle', 'TimezoneOffsetFromUTC'])

export interface FindSettings {
  readonly aeTitle: string
  readonly charset: AnswerCharset
  readonly maxMatches: number
}

/** Answers one C-FIND: a pending response per match, then the final status (PS3.4 C.4.1). */
export class Find {
  readonly #sending: MessageSender
  readonly #context: AcceptedContext
  readonly #command: CommandSet
  readonly #settings: FindSettings
  readonly #cancel = new AbortController()

  constructor(sending: MessageSender, context: AcceptedContext, command: CommandSet, settings: FindSettings) {
    this.#sending = sending
    this.#context = context
    this.#command = command
    this.#settings = settings
  }

  get messageId(): number | undefined {
    return this.#command.messageId
  }

  /** C-CANCEL, or the end of the association. */
  cancel(): void {
    this.#cancel.abort()
  }

  /** @returns The final answer and how many matches were told. @throws what the source throws. */
  async run(
    bytes: Buffer,
    source: QuerySource,
    caller: { callingAeTitle: string; remoteAddress: string },
  ): Promise<{ answer: Answer; matches: number }> {
    const identifier = decodeIdentifier(bytes, this.#context.transferSyntaxUid)
    const { abstractSyntaxUid, extended = plainBehaviour } = this.#context
    const decided = decideLevel(identifier.keys, abstractSyntaxUid, extended)
    if ('refused' in decided) return { answer: decided.refused, matches: 0 }
    const keys = Object.fromEntries(Object.entries(identifier.keys).filter(([keyword]) => !control.has(keyword)))
    const allMatched = Object.entries(keys).every(([keyword, text]) => text === '' || source.isMatched(keyword))
    const pending = responseTo(
      this.#command,
      { status: allMatched ? status.pending : status.pendingOptionalKeysUnsupported },
      DATASET_FOLLOWS,
    )
    let matches = 0
    for await (const match of source.find({ level: decided.level, keys, extended, ...caller }, this.#cancel.signal)) {
      if (this.#cancel.signal.aborted) break
      if (matches === this.#settings.maxMatches) {
        return {
          answer: { status: status.outOfResources, errorComment: `more than ${this.#settings.maxMatches} matches, narrow the query` },
          matches,
        }
      }
      await this.#sending.send(this.#context.id, pending, [this.#encode(identifier, decided.level, match)])
      matches++
    }
    return { answer: { status: this.#cancel.signal.aborted ? status.cancelled : status.success }, matches }
  }

  #encode(identifier: Identifier, level: QueryLevel, match: Readonly<Record<string, string>>): Buffer {
    const { aeTitle, charset } = this.#settings
    const own: Record<string, string> = {
      SpecificCharacterSet: charset,
      QueryRetrieveLevel: level,
      RetrieveAETitle: aeTitle,
      InstanceAvailability: 'ONLINE',
    }
    const elements = new Map(
      identifier.requested.map(({ tag, vr, keyword }) => [
        tag,
        { tag, vr, text: keyword === undefined ? '' : (own[keyword] ?? match[keyword] ?? '') },
      ]),
    )
    const model = this.#context.abstractSyntaxUid === PATIENT_ROOT_FIND ? levels : levels.slice(1)
    const unique = model.slice(0, model.indexOf(level) + 1).map((each) => uniqueKeys[each])
    for (const keyword of ['SpecificCharacterSet', 'QueryRetrieveLevel', 'RetrieveAETitle', ...unique]) {
      const tag = tagOf(keyword)
      if (tag !== undefined) elements.set(tag, { tag, vr: vrOf(tag), text: own[keyword] ?? match[keyword] ?? '' })
    }
    return encodeIdentifier([...elements.values()], this.#context.transferSyntaxUid, charset)
  }
}
