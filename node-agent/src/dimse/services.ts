import { type Buffer } from 'node:buffer'
import { type Problem } from 'specs'
import { type CommandSet, commandFields, NO_DATASET } from './command-set.ts'
import { type ExtendedBehaviour } from './extended-negotiation.ts'
import { type AnswerCharset } from './identifier.ts'
import { type AcceptedContext } from './negotiation.ts'
import { type SopClassKind } from './sop-classes.ts'

/** Where C-STORE puts objects. Success is answered only after `commit` has resolved. */
export interface StorageSink {
  /** @throws {Problem} whose DIMSE status is the answer; the data set is then read and dropped. */
  begin(object: OfferedObject): Promise<ObjectWriter>
}

/** Who speaks to us, and as whom it spoke to us. */
export interface Caller {
  readonly callingAeTitle: string
  readonly remoteAddress: string
  /** As sent; the title of ours that it meant. */
  readonly calledAeTitle?: string | undefined
  readonly terms?: CallerTerms | undefined
}

/** What differs from caller to caller, by its registration and by the receiving node of ours that it called. */
export interface CallerTerms {
  /** Character set of what it is answered. */
  readonly charset?: AnswerCharset | undefined
  /** Associations of this AE title at the same time. */
  readonly maxAssociations?: number | undefined
  /** Transfer syntaxes that we choose first among those it proposes; without any, its own order counts. */
  readonly preferredSyntaxes?: readonly string[] | undefined
  /** 接收节点 (FED-19): what is sent there belongs to one submitter, and only that is told there. */
  readonly receivingNode?: string | undefined
}

/** A request with its small data set, read whole. */
export interface SmallRequest {
  readonly contextId: number
  readonly sopClassUid: string
  /** As negotiated; nothing of it when the peer did not ask. */
  readonly extended: ExtendedBehaviour
  /** In which the data set is written, and in which answers are. */
  readonly transferSyntaxUid: string
  readonly command: CommandSet
  readonly dataset: Buffer | undefined
  readonly caller: Caller
  readonly charset: AnswerCharset
}

/** One message back: its status, further elements of its command, and its data set in the syntax of the request. */
export interface Reply {
  readonly answer: Answer
  readonly command?: Partial<CommandSet>
  readonly dataset?: Buffer
}

/** The peer, as somebody whom we may ask something on its own association: C-STORE within its C-GET, N-EVENT-REPORT after its N-ACTION. */
export interface AskablePeer {
  readonly isConnected: boolean
  /** In which it takes what we send. */
  readonly contexts: readonly AcceptedContext[]
  /** One request at a time. @throws {Problem} dimse/lost, dimse/aborted, dimse/timeout: the association is over; or why the data set could not be read, which ends it too. */
  request(contextId: number, command: CommandSet, dataset?: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<CommandSet>
}

/**
 * A service whose requests have small data sets: worklist, performed procedure steps. Each request is answered by one or more replies,
 * the last of which is final. What it throws is answered with the problem's status.
 */
export interface MessageService {
  readonly kind: SopClassKind
  readonly commands: readonly number[]
  /** Longest data set of a request; that of an identifier unless told. */
  readonly maxDataSetBytes?: number
  /** @param signal aborted by C-CANCEL and by the end of the association. */
  answer(request: SmallRequest, signal: AbortSignal, peer: AskablePeer): AsyncIterable<Reply>
}

export interface OfferedObject {
  /** Valid UIDs, as named by the command; `commit` must refuse a data set that says otherwise (archive/uid-mismatch). */
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  readonly transferSyntaxUid: string
  readonly callingAeTitle: string
  readonly remoteAddress: string
  readonly terms?: CallerTerms | undefined
}

export interface ObjectWriter {
  /** Data set bytes as sent, in order; awaiting it is the back-pressure. */
  write(chunk: Uint8Array): Promise<void>
  commit(): Promise<void>
  /** Drops what was written; also called after a failed `write` or `commit`. */
  abort(): Promise<void>
}

export type QueryLevel = 'PATIENT' | 'STUDY' | 'SERIES' | 'IMAGE'

/** Who asks, at which level, with which keys: DICOM keyword → text as in the identifier, decoded; '' matches everything. */
export interface Query {
  readonly level: QueryLevel
  readonly keys: Readonly<Record<string, string>>
  /** Combined ranges of date and time, names by meaning: as negotiated. */
  readonly extended?: ExtendedBehaviour
  readonly callingAeTitle: string
  readonly remoteAddress: string
  readonly terms?: CallerTerms | undefined
}

export interface QuerySource {
  /** DICOM keyword → text, several values joined by backslash. What is not named is answered empty. */
  find(query: Query, signal: AbortSignal): AsyncIterable<Readonly<Record<string, string>>>
  /** Keywords that take part in matching; others are returned at most, and the peer is told so (0xFF01). */
  isMatched(keyword: string): boolean
}

/** PS3.7 C and PS3.4 B.2.3, C.4.1.1.4: the statuses that do not come from a Problem. */
export const status = {
  success: 0x0000,
  cancelled: 0xfe00,
  pending: 0xff00,
  pendingOptionalKeysUnsupported: 0xff01,
  identifierMismatch: 0xa900,
  outOfResources: 0xa700,
  unableToCountMatches: 0xa701,
  unableToPerformSuboperations: 0xa702,
  moveDestinationUnknown: 0xa801,
  someSuboperationsFailed: 0xb000,
  noSuchInstance: 0x0112,
  noSuchEventType: 0x0113,
  noSuchActionType: 0x0123,
  classInstanceConflict: 0x0119,
  sopClassNotSupported: 0x0122,
  unrecognizedOperation: 0x0211,
  invalidArgument: 0x0115,
  processingFailure: 0x0110,
  unableToProcess: 0xc000,
} as const

export interface Answer {
  readonly status: number
  readonly errorComment?: string
  readonly offendingElement?: number
}

/** The answer that a problem has at the DIMSE edge; its English title goes along, for whoever reads the modality's log. */
export function answerOf(problem: Problem): Answer {
  return { status: problem.answer.dimse ?? status.processingFailure, errorComment: problem.answer.en.slice(0, 64) }
}

/** The response to `request`: PS3.7 9.3, with the UIDs that the request named. */
export function responseTo(request: CommandSet, { status, errorComment, offendingElement }: Answer, dataSetType = NO_DATASET): CommandSet {
  const sopClassUid = request.affectedSopClassUid ?? request.requestedSopClassUid
  const sopInstanceUid = request.affectedSopInstanceUid ?? request.requestedSopInstanceUid
  return {
    commandField: request.commandField | commandFields.response,
    commandDataSetType: dataSetType,
    status,
    ...(request.messageId !== undefined && { messageIdBeingRespondedTo: request.messageId }),
    ...(sopClassUid !== undefined && { affectedSopClassUid: sopClassUid }),
    ...(sopInstanceUid !== undefined && { affectedSopInstanceUid: sopInstanceUid }),
    ...(errorComment !== undefined && { errorComment }),
    ...(offendingElement !== undefined && { offendingElement }),
  }
}
