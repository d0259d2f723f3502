import { type Buffer } from 'node:buffer'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { modernTls, type Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { type AssociateAccept, contextResults, DICOM_APPLICATION_CONTEXT, type ProposedContext } from './associate-pdu.ts'
import { protocolFault } from './byte-reader.ts'
import { IncomingIdentifier } from './c-find.ts'
import { type CommandSet, commandFields, hasDataset, isResponse, NO_DATASET } from './command-set.ts'
import { MAX_ASSOCIATE_BYTES } from './limits.ts'
import { MessageReader } from './message-reader.ts'
import { MessageSender } from './message-sender.ts'
import { type Fragment } from './pdu-splitter.ts'
import { type PeerGate, type PeerTls } from './peer-gate.ts'
import { type Ending } from './ending.ts'
import { UpperLayer, type UpperLayerUser } from './upper-layer.ts'
import { type RoleSelection, type UserInformation } from './user-information.ts'

/** Whom to call. */
export interface DicomPeer {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  readonly tls?: PeerTls
  /** Called by TLS or not at all, with the keys that the gate has for its AE title. */
  readonly secure?: boolean
}

export interface ScuSettings {
  readonly callingAeTitle: string
  /** Until the connection is open. */
  readonly connectMs: number
  /** Until the peer has accepted or rejected. */
  readonly associateMs: number
  /** Until the peer has answered a whole request; storing a large object may take it long. */
  readonly responseMs: number
  /** While we send, something must move in each such span. */
  readonly stallMs: number
  /** Judges and resolves the peer's host; what it answers is connected to. @throws {Problem} outbound/refused */
  readonly addressOf?: PeerGate
  /** Gets a line at the beginning and at the end of each association. */
  readonly log?: Log
}

export const defaultScuSettings: Omit<ScuSettings, 'callingAeTitle' | 'log' | 'addressOf'> = {
  connectMs: 5_000,
  associateMs: 15_000,
  responseMs: 120_000,
  stallMs: 30_000,
}

/** What we take in one P-DATA-TF. */
const MAX_RESPONSE_PDU_BYTES = 64 * 1024
/** Longest data set of a response or of a small request of the peer. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** Our P-DATA-TFs stay below this even for a peer without limit. */
const MAX_SENT_PDU_BYTES = 256 * 1024
/** Nobody works below it, and a peer that announces 6 bytes would get a PDU per byte. */
const MIN_PEER_PDU_BYTES = 1024

interface Waiting<T> {
  resolve(value: T): void
  reject(problem: Problem): void
}

/** What is negotiated beyond presentation contexts (PS3.7 D.3.3). */
export interface Offer {
  readonly roles?: readonly RoleSelection[]
  readonly extendedNegotiation?: UserInformation['extendedNegotiation']
  /** Answers the requests that the peer makes on this association; without it none may come. */
  readonly onRequest?: (context: OpenContext, command: CommandSet) => PeerRequest
}

/** A context that both sides agreed on. */
export interface OpenContext {
  readonly id: number
  readonly abstractSyntaxUid: string
  readonly transferSyntaxUid: string
}

/** A request of the peer while it is read and answered. */
export interface PeerRequest {
  /** A piece of its data set; the promise holds the peer back. */
  take(data: Buffer): Promise<void> | undefined
  /** It is whole: do it. @returns the response. */
  complete(): Promise<CommandSet>
  /** The response has gone out: now the association may be released. */
  answered?(): void
  /** The association broke off before it was whole. */
  abandon(): void
}

/** A response with its small data set, if it has one. */
export interface Response {
  readonly command: CommandSet
  readonly dataset: Buffer | undefined
}

interface Exchange extends Waiting<Response> {
  readonly messageId: number
  readonly contextId: number
  /** Pending responses; the promise holds the peer back. */
  readonly onPending: ((response: Response) => Promise<void> | undefined) | undefined
}

/** PS3.7 C.2: more responses follow. */
const isPending = (status: number | undefined) => status === 0xff00 || status === 0xff01

/** An association that we opened: one request of ours at a time, each answered before the next. */
export class RequestedAssociation implements UpperLayerUser {
  readonly #layer: UpperLayer
  readonly #sender: MessageSender
  readonly #settings: ScuSettings
  readonly #offer: Offer
  readonly #messages = new MessageReader()
  #proposed: readonly ProposedContext[] = []
  #accept: AssociateAccept | undefined
  #ending: Ending | undefined
  #opened: Waiting<void> | undefined
  #exchange: Exchange | undefined
  /** The data set that is coming in, of a response or of a request of the peer. */
  #incoming: { take(data: Buffer): Promise<void> | undefined; complete(): Promise<void> | undefined; abandon(): void } | undefined
  #released: (() => void) | undefined
  #lastMessageId = 0
  #log: Log | undefined

  private constructor(socket: Socket, settings: ScuSettings, offer: Offer) {
    this.#settings = settings
    this.#offer = offer
    this.#layer = new UpperLayer(socket, 'requestor', this, {
      artimMs: settings.associateMs,
      maxPduBytes: MAX_RESPONSE_PDU_BYTES,
      maxAssociateBytes: MAX_ASSOCIATE_BYTES,
    })
    this.#sender = new MessageSender(this.#layer)
  }

  /**
   * Opens a connection and asks for an association.
   * @throws {Problem} outbound/refused, dimse/unreachable, dimse/rejected (with the peer's reason), dimse/timeout, dimse/aborted, dimse/lost, dimse/protocol
   */
  static async open(peer: DicomPeer, contexts: readonly ProposedContext[], settings: ScuSettings, offer: Offer = {}): Promise<RequestedAssociation> {
    const host = await addressOf(peer, settings)
    const tls = await tlsOf(peer, settings)
    const socket = tls
      ? connectTls({ ...modernTls, ...(isIP(peer.host) === 0 && { servername: peer.host }), ...tls, host, port: peer.port })
      : connectTcp({ host, port: peer.port })
    const association = new RequestedAssociation(socket, settings, offer)
    await association.#request(peer, contexts, socket, tls ? 'secureConnect' : 'connect')
    return association
  }

  #request(peer: DicomPeer, contexts: readonly ProposedContext[], socket: Socket, connected: 'connect' | 'secureConnect'): Promise<void> {
    this.#proposed = contexts
    this.#log = this.#settings.log?.child({ calledAeTitle: peer.aeTitle, host: peer.host, port: peer.port })
    this.#layer.request(
      {
        type: 'A-ASSOCIATE-RQ',
        protocolVersion: 1,
        calledAeTitle: peer.aeTitle,
        callingAeTitle: this.#settings.callingAeTitle,
        applicationContext: DICOM_APPLICATION_CONTEXT,
        contexts,
        user: {
          maxLengthBytes: MAX_RESPONSE_PDU_BYTES,
          implementationClassUid: IMPLEMENTATION_CLASS_UID,
          implementationVersionName: IMPLEMENTATION_VERSION_NAME,
          roles: this.#offer.roles ?? [],
          extendedNegotiation: this.#offer.extendedNegotiation ?? [],
        },
      },
      connected,
    )
    this.#layer.patience.wait('connection', this.#settings.connectMs)
    socket.once(connected, () => this.#layer.patience.wait('A-ASSOCIATE-AC', this.#settings.associateMs))
    return new Promise((resolve, reject) => {
      this.#opened = { resolve, reject }
    })
  }

  /** The accepted context for this class and syntax; otherwise why there is none. */
  contextFor(proposed: ProposedContext): { readonly id: number; readonly transferSyntaxUid: string } | Problem {
    const answer = this.#accept?.contexts.find((context) => context.id === proposed.id)
    if (answer?.result === contextResults.accepted && proposed.transferSyntaxUids.includes(answer.transferSyntaxUid)) return answer
    return new Problem('dimse/not-accepted', {
      sopClassUid: proposed.abstractSyntaxUid,
      transferSyntaxUids: proposed.transferSyntaxUids,
      result: answer === undefined ? 'not answered' : (resultTexts[answer.result] ?? 'accepted with another syntax'),
    })
  }

  /** What the peer answered to a proposal of extended negotiation for this class; undefined: it did not. */
  extendedAnswer(sopClassUid: string): Buffer | undefined {
    return this.#accept?.user.extendedNegotiation.find((entry) => entry.sopClassUid === sopClassUid)?.information
  }

  /**
   * Sends one request and waits for its response.
   * @param command without message ID, which is given here.
   * @throws {Problem} dimse/timeout, dimse/aborted, dimse/lost, dimse/protocol; the association is over then.
   */
  async request(contextId: number, command: CommandSet, dataset?: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<CommandSet> {
    return (await this.exchange(contextId, command, dataset)).command
  }

  /**
   * Sends one request and waits for its last response.
   * @param onPending hears of each response before it; a returned promise holds the peer back.
   * @throws {Problem} as `request`
   */
  async exchange(
    contextId: number,
    command: CommandSet,
    dataset?: AsyncIterable<Buffer> | Iterable<Buffer>,
    onPending?: (response: Response) => Promise<void> | undefined,
  ): Promise<Response> {
    if (this.#ending) throw problemOf(this.#ending)
    const messageId = (this.#lastMessageId % 0xffff) + 1
    this.#lastMessageId = messageId
    const answered = new Promise<Response>((resolve, reject) => {
      this.#exchange = { messageId, contextId, onPending, resolve, reject }
    })
    const sent = this.#send(contextId, { ...command, messageId }, dataset)
    // Whichever fails first: the data that we read, or the association. `answered` fails with the association in any case.
    const [answer] = await Promise.all([answered, sent])
    return answer
  }

  async #send(contextId: number, command: CommandSet, dataset: AsyncIterable<Buffer> | Iterable<Buffer> | undefined): Promise<void> {
    this.#layer.patience.wait('room to send', this.#settings.stallMs, 1)
    try {
      await this.#sender.send(contextId, command, dataset)
    } catch (error) {
      // Our own data broke off: the message cannot be completed, so the association cannot go on.
      if (!this.#ending) this.#layer.abort(protocolFault('the data set could not be read'))
      throw this.#ending && this.#ending.how !== 'aborted' ? problemOf(this.#ending) : error
    }
    this.#awaitResponse()
  }

  #awaitResponse(): void {
    if (this.#exchange && !this.#incoming && !this.#ending) this.#layer.patience.wait('response', this.#settings.responseMs)
  }

  /** C-CANCEL-RQ for the request under way (PS3.7 9.3.2.3); its last response still comes, unless it was on its way already. */
  async cancel(): Promise<void> {
    const exchange = this.#exchange
    if (!exchange || this.#ending) return
    await this.#sender.send(exchange.contextId, {
      commandField: commandFields.cCancel,
      messageIdBeingRespondedTo: exchange.messageId,
      commandDataSetType: NO_DATASET,
    })
  }

  /** Ends the association in good order; after a failure there is nothing left to end. */
  async release(): Promise<void> {
    if (this.#ending) return
    const released = new Promise<void>((resolve) => {
      this.#released = resolve
    })
    this.#layer.release()
    this.#layer.patience.wait('A-RELEASE-RP', this.#settings.associateMs)
    await released
  }

  abort(problem: Problem): void {
    this.#layer.abort(problem)
  }

  onAssociateRequest(): void {
    throw protocolFault('a requestor is not asked')
  }

  onAssociateAccept(accept: AssociateAccept): void {
    this.#layer.patience.rest()
    const offered = accept.user.maxLengthBytes
    if (offered !== 0 && offered < MIN_PEER_PDU_BYTES)
      return this.#layer.abort(protocolFault('maximum PDU length too small', { maxPduBytes: offered }))
    this.#accept = accept
    this.#log?.info('association opened by us')
    this.#sender.maxPduBytes = offered === 0 ? MAX_SENT_PDU_BYTES : Math.min(offered, MAX_SENT_PDU_BYTES)
    this.#opened?.resolve()
  }

  onData(fragment: Fragment): Promise<void> | undefined {
    const part = this.#messages.take(fragment)
    if (part === undefined) return
    if (part.kind === 'command') return isResponse(part.command) ? this.#response(part.command) : this.#peerRequest(part.contextId, part.command)
    const incoming = this.#incoming
    const busy = incoming?.take(part.data)
    if (!part.last) return busy
    this.#incoming = undefined
    return incoming?.complete()
  }

  #response(command: CommandSet): Promise<void> | undefined {
    const exchange = this.#exchange
    if (exchange === undefined || command.messageIdBeingRespondedTo !== exchange.messageId) throw protocolFault('response to no request')
    if (!hasDataset(command)) return this.#answered(exchange, { command, dataset: undefined })
    const dataset = new IncomingIdentifier(MAX_ANSWER_BYTES)
    this.#layer.patience.wait('rest of the message', this.#settings.stallMs, 1)
    this.#incoming = {
      take: (data) => void dataset.take(data),
      complete: () => this.#answered(exchange, { command, dataset: dataset.whole() }),
      abandon: () => undefined,
    }
  }

  #answered(exchange: Exchange, response: Response): Promise<void> | undefined {
    this.#layer.patience.rest()
    if (isPending(response.command.status)) {
      this.#awaitResponse()
      return exchange.onPending?.(response)
    }
    this.#exchange = undefined
    exchange.resolve(response)
  }

  /** The peer asks something on our association: C-STORE within a C-GET, N-EVENT-REPORT after an N-ACTION. */
  #peerRequest(contextId: number, command: CommandSet): undefined {
    const answer = this.#accept?.contexts.find(({ id, result }) => id === contextId && result === contextResults.accepted)
    const proposed = this.#proposed.find(({ id }) => id === contextId)
    if (!this.#offer.onRequest || !answer || !proposed) throw protocolFault('a requestor is not asked', { commandField: command.commandField })
    const { transferSyntaxUid } = answer
    const request = this.#offer.onRequest({ id: contextId, abstractSyntaxUid: proposed.abstractSyntaxUid, transferSyntaxUid }, command)
    const complete = (): undefined => {
      this.#layer.patience.rest()
      void this.#answerPeer(contextId, request)
    }
    if (!hasDataset(command)) return complete()
    this.#layer.patience.wait('rest of the message', this.#settings.stallMs, 1)
    this.#incoming = { take: (data) => request.take(data), complete, abandon: () => request.abandon() }
  }

  async #answerPeer(contextId: number, request: PeerRequest): Promise<void> {
    try {
      const response = await request.complete()
      if (this.#ending) return
      await this.#sender.send(contextId, response)
      this.#awaitResponse()
      request.answered?.()
    } catch (error) {
      this.abort(isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }))
    }
  }

  onReleaseRequest(): undefined {
    this.#layer.answerRelease()
  }

  onEnded(ending: Ending): void {
    this.#ending = ending
    const problem = problemOf(ending)
    this.#log?.info(
      { messages: this.#lastMessageId, ...(ending.how !== 'released' && { code: problem.code, facts: problem.facts }) },
      `association opened by us ${ending.how}`,
    )
    // Before an association there was nothing to lose: the peer cannot be reached.
    this.#opened?.reject(
      ending.how === 'lost' && this.#accept === undefined ? new Problem('dimse/unreachable', problem.facts, { cause: problem }) : problem,
    )
    this.#exchange?.reject(problem)
    this.#incoming?.abandon()
    this.#incoming = undefined
    this.#released?.()
  }
}

/** A name that cannot be resolved is a peer that cannot be reached; one that may not be reached is a refusal of ours. */
async function addressOf({ host }: DicomPeer, settings: ScuSettings): Promise<string> {
  try {
    return (await settings.addressOf?.(host)) ?? host
  } catch (cause) {
    throw isProblem(cause) ? cause : new Problem('dimse/unreachable', { reason: 'name not resolved' }, { cause })
  }
}

/** A peer that shall be called by TLS is never called without. @throws {Problem} dimse/no-peer-keys */
async function tlsOf({ tls, secure, aeTitle }: DicomPeer, { addressOf: gate }: ScuSettings): Promise<PeerTls | undefined> {
  if (tls !== undefined || !secure) return tls
  if (gate?.tlsOf === undefined) throw new Problem('dimse/no-peer-keys', { aeTitle })
  return gate.tlsOf(aeTitle)
}

function problemOf(ending: Ending): Problem {
  return ending.how === 'released' ? protocolFault('the peer released the association') : ending.problem
}

/** PS3.8 Table 9-18 */
const resultTexts: Record<number, string> = {
  1: 'user rejection',
  2: 'no reason',
  3: 'abstract syntax not supported',
  4: 'transfer syntaxes not supported',
}
