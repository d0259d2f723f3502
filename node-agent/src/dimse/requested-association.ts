import { type Buffer } from 'node:buffer'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { modernTls, type Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { type AssociateAccept, contextResults, DICOM_APPLICATION_CONTEXT, type ProposedContext } from './associate-pdu.ts'
import { protocolFault } from './byte-reader.ts'
import { type CommandSet, hasDataset } from './command-set.ts'
import { MAX_ASSOCIATE_BYTES } from './limits.ts'
import { MessageReader } from './message-reader.ts'
import { sendCommand, sendDataset } from './message-writer.ts'
import { type Fragment } from './pdu-splitter.ts'
import { type Ending } from './ending.ts'
import { UpperLayer, type UpperLayerUser } from './upper-layer.ts'

/** Whom to call. */
export interface DicomPeer {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  /** PEM texts: the CA that the peer's certificate must chain to, and our own certificate when the peer asks for one. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string }
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
  readonly addressOf?: (host: string) => Promise<string>
  /** Gets a line at the beginning and at the end of each association. */
  readonly log?: Log
}

export const defaultScuSettings: Omit<ScuSettings, 'callingAeTitle' | 'log' | 'addressOf'> = {
  connectMs: 5_000,
  associateMs: 15_000,
  responseMs: 120_000,
  stallMs: 30_000,
}

/** What we take in one P-DATA-TF: only responses come. */
const MAX_RESPONSE_PDU_BYTES = 64 * 1024
/** Our P-DATA-TFs stay below this even for a peer without limit. */
const MAX_SENT_PDU_BYTES = 256 * 1024
/** Nobody works below it, and a peer that announces 6 bytes would get a PDU per byte. */
const MIN_PEER_PDU_BYTES = 1024

interface Waiting<T> {
  resolve(value: T): void
  reject(problem: Problem): void
}

/** An association that we opened: one request at a time, each answered before the next. */
export class RequestedAssociation implements UpperLayerUser {
  readonly #layer: UpperLayer
  readonly #settings: ScuSettings
  readonly #messages = new MessageReader()
  #accept: AssociateAccept | undefined
  #ending: Ending | undefined
  #opened: Waiting<void> | undefined
  #answer: (Waiting<CommandSet> & { readonly messageId: number }) | undefined
  #released: (() => void) | undefined
  #lastMessageId = 0
  #log: Log | undefined
  #peerMaxPduBytes = 0

  private constructor(socket: Socket, settings: ScuSettings) {
    this.#settings = settings
    this.#layer = new UpperLayer(socket, 'requestor', this, {
      artimMs: settings.associateMs,
      maxPduBytes: MAX_RESPONSE_PDU_BYTES,
      maxAssociateBytes: MAX_ASSOCIATE_BYTES,
    })
  }

  /**
   * Opens a connection and asks for an association.
   * @throws {Problem} outbound/refused, dimse/unreachable, dimse/rejected (with the peer's reason), dimse/timeout, dimse/aborted, dimse/lost, dimse/protocol
   */
  static async open(peer: DicomPeer, contexts: readonly ProposedContext[], settings: ScuSettings): Promise<RequestedAssociation> {
    const host = await addressOf(peer, settings)
    const socket = peer.tls
      ? connectTls({ ...modernTls, ...(isIP(peer.host) === 0 && { servername: peer.host }), ...peer.tls, host, port: peer.port })
      : connectTcp({ host, port: peer.port })
    const association = new RequestedAssociation(socket, settings)
    await association.#request(peer, contexts, socket)
    return association
  }

  #request(peer: DicomPeer, contexts: readonly ProposedContext[], socket: Socket): Promise<void> {
    this.#log = this.#settings.log?.child({ calledAeTitle: peer.aeTitle, host: peer.host, port: peer.port })
    const connected = peer.tls ? 'secureConnect' : 'connect'
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
          roles: [],
          extendedNegotiation: [],
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

  /**
   * Sends one request and waits for its response.
   * @param command without message ID, which is given here.
   * @throws {Problem} dimse/timeout, dimse/aborted, dimse/lost, dimse/protocol; the association is over then.
   */
  async request(contextId: number, command: CommandSet, dataset?: AsyncIterable<Buffer>): Promise<CommandSet> {
    if (this.#ending) throw problemOf(this.#ending)
    const messageId = (this.#lastMessageId % 0xffff) + 1
    this.#lastMessageId = messageId
    const answered = new Promise<CommandSet>((resolve, reject) => {
      this.#answer = { messageId, resolve, reject }
    })
    const sent = this.#send(contextId, { ...command, messageId }, dataset)
    // Whichever fails first: the data that we read, or the association. `answered` fails with the association in any case.
    const [answer] = await Promise.all([answered, sent])
    return answer
  }

  async #send(contextId: number, command: CommandSet, dataset: AsyncIterable<Buffer> | undefined): Promise<void> {
    this.#layer.patience.wait('room to send', this.#settings.stallMs, 1)
    try {
      await sendCommand(this.#layer, contextId, command)
      if (dataset) await sendDataset(this.#layer, contextId, dataset, this.#peerMaxPduBytes)
    } catch (error) {
      // Our own data broke off: the message cannot be completed, so the association cannot go on.
      if (!this.#ending) this.#layer.abort(protocolFault('the data set could not be read'))
      throw this.#ending && this.#ending.how !== 'aborted' ? problemOf(this.#ending) : error
    }
    if (this.#answer) this.#layer.patience.wait('response', this.#settings.responseMs)
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
    this.#peerMaxPduBytes = offered === 0 ? MAX_SENT_PDU_BYTES : Math.min(offered, MAX_SENT_PDU_BYTES)
    this.#opened?.resolve()
  }

  onData(fragment: Fragment): undefined {
    const part = this.#messages.take(fragment)
    if (part?.kind !== 'command') return
    if (hasDataset(part.command)) throw protocolFault('response with a data set', { commandField: part.command.commandField })
    const answer = this.#answer
    if (answer === undefined || part.command.messageIdBeingRespondedTo !== answer.messageId) throw protocolFault('response to no request')
    this.#answer = undefined
    this.#layer.patience.rest()
    answer.resolve(part.command)
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
    this.#answer?.reject(problem)
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
