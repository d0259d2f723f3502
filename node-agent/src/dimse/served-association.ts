import { type Buffer } from 'node:buffer'
import { type Socket } from 'node:net'
import { type Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { type AssociateRequest } from './associate-pdu.ts'
import { protocolFault } from './byte-reader.ts'
import { Find, IncomingIdentifier } from './c-find.ts'
import { type CommandSet, commandFields, DATASET_FOLLOWS, hasDataset, isResponse, NO_DATASET } from './command-set.ts'
import { ReceivingObject } from './c-store.ts'
import { type DimseLimits, MAX_ASSOCIATE_BYTES } from './limits.ts'
import { MessageReader } from './message-reader.ts'
import { MessageSender } from './message-sender.ts'
import { plainBehaviour } from './extended-negotiation.ts'
import { type AcceptedContext, callingAeTitle, decideAssociation, type NegotiationPolicy } from './negotiation.ts'
import { type Fragment } from './pdu-splitter.ts'
import { plainAddress } from './remote-address.ts'
import { type AnswerCharset } from './identifier.ts'
import { type Answer, answerOf, type AskablePeer, type Caller, type CallerTerms, type MessageService, type QuerySource, type Reply, responseTo, status, type StorageSink } from './services.ts'
import { type Ending } from './ending.ts'
import { UpperLayer, type UpperLayerUser } from './upper-layer.ts'
import { type DimseFigures } from './figures.ts'

export interface AssociationHost {
  readonly limits: DimseLimits
  readonly policy: NegotiationPolicy
  readonly charset: AnswerCharset
  readonly storage: StorageSink
  readonly query: QuerySource
  readonly log: Log
  readonly figures: DimseFigures
  readonly services: readonly MessageService[]
  /** The terms on which this caller may associate; undefined: not at all. */
  admit(callingAeTitle: string, remoteAddress: string, calledAeTitle: string): Promise<CallerTerms | undefined>
  /** Takes a place among the associations, and among the caller's; undefined when all are taken. Call the result to give it back. */
  takeSlot(callingAeTitle: string, ofCaller: number | undefined): (() => void) | undefined
  refused(callingAeTitle: string, remoteAddress: string, problem: Problem): void
  /** An association was accepted. */
  accepted(callingAeTitle: string, remoteAddress: string): void
}

/** What happens with the data set that follows a command. */
interface DatasetTaker {
  take(data: Buffer): Promise<void> | undefined
  complete(): void
}

/** One association that a peer opened: negotiation, then its messages strictly one after the other. */
export class ServedAssociation implements UpperLayerUser {
  readonly #host: AssociationHost
  readonly #layer: UpperLayer
  readonly #messages = new MessageReader()
  #log: Log
  #sender: Caller = { callingAeTitle: '', remoteAddress: '' }
  /** For the line at its end. */
  readonly #traffic = { receivedBytes: 0, stored: 0, queries: 0 }
  #contexts: ReadonlyMap<number, AcceptedContext> = new Map()
  readonly #sending: MessageSender
  #giveSlotBack: (() => void) | undefined
  #dataset: DatasetTaker | undefined
  /** The operation under way; the next message waits for it, but a C-CANCEL does not. */
  #operation: Promise<void> | undefined
  #find: Find | undefined
  #exchange: { readonly messageId: number | undefined; readonly cancel: AbortController } | undefined
  /** The request of ours that the peer has still to answer. */
  #asked: { readonly messageId: number; resolve(command: CommandSet): void; reject(problem: Problem): void } | undefined
  #lastMessageId = 0
  #receiving: ReceivingObject | undefined

  constructor(socket: Socket, host: AssociationHost) {
    this.#host = host
    this.#sender = { ...this.#sender, remoteAddress: plainAddress(socket.remoteAddress) }
    this.#log = host.log.child({ remoteAddress: this.#sender.remoteAddress })
    this.#layer = new UpperLayer(socket, 'acceptor', this, {
      artimMs: host.limits.artimMs,
      maxPduBytes: host.limits.maxPduBytes,
      maxAssociateBytes: MAX_ASSOCIATE_BYTES,
    })
    this.#sending = new MessageSender(this.#layer)
  }

  begin(): void {
    this.#layer.begin()
  }

  /** The server stops: no new message, no answer. */
  abort(problem: Problem): void {
    this.#layer.abort(problem)
  }

  /** Resolves when nothing of this association is under way any more. */
  async settled(): Promise<void> {
    await this.#operation
  }

  onAssociateRequest(request: AssociateRequest): void {
    this.#negotiate(request).catch((error: unknown) => {
      this.#log.error({ err: error }, 'association could not be decided')
      this.#layer.abort(new Problem('service/internal', {}, { cause: error }))
    })
  }

  async #negotiate(request: AssociateRequest): Promise<void> {
    const { remoteAddress } = this.#sender
    this.#sender = { callingAeTitle: request.callingAeTitle, calledAeTitle: request.calledAeTitle, remoteAddress }
    this.#log = this.#log.child({ callingAeTitle: request.callingAeTitle })
    const aeTitle = callingAeTitle(request)
    const terms = aeTitle && (await this.#host.admit(aeTitle, remoteAddress, request.calledAeTitle))
    if (this.#layer.state !== 'Sta3') return // gone meanwhile
    this.#sender = { ...this.#sender, terms }
    // Only who may associate takes a place: a stranger that knocks all the time must not keep the house full.
    this.#giveSlotBack = terms && this.#host.takeSlot(request.callingAeTitle, terms.maxAssociations)
    const negotiation = decideAssociation(request, this.#host.policy, {
      callerAllowed: terms !== undefined,
      slotFree: this.#giveSlotBack !== undefined,
      preferredSyntaxes: terms?.preferredSyntaxes,
    })
    if (negotiation.kind === 'rejected') {
      this.#host.figures.associations.inc({ outcome: 'rejected' })
      this.#refused(negotiation.problem)
      return this.#layer.reject(negotiation.answer)
    }
    this.#contexts = negotiation.contexts
    this.#sending.maxPduBytes = negotiation.peerMaxPduBytes
    this.#host.figures.associations.inc({ outcome: 'accepted' })
    this.#host.accepted(request.callingAeTitle, remoteAddress)
    this.#log.info(
      { accepted: negotiation.contexts.size, proposed: request.contexts.length, version: request.user.implementationVersionName },
      'association accepted',
    )
    this.#layer.accept(negotiation.answer)
    this.#expectNext()
  }

  onAssociateAccept(): void {
    throw protocolFault('an acceptor is not accepted')
  }

  onReleaseRequest(): Promise<void> | undefined {
    if (!this.#operation) {
      this.#layer.answerRelease()
      return
    }
    return this.#operation.then(() => this.#layer.answerRelease())
  }

  onEnded(ending: Ending): void {
    this.#giveSlotBack?.()
    this.#find?.cancel()
    this.#exchange?.cancel.abort()
    this.#asked?.reject(ending.how === 'released' ? new Problem('dimse/lost', { reason: 'released by the peer' }) : ending.problem)
    this.#asked = undefined
    if (ending.how === 'released') this.#log.info(this.#traffic, 'association released')
    else if (ending.how === 'aborted' && ending.problem.code !== 'service/unavailable') this.#refused(ending.problem)
    else this.#log.info({ ...this.#traffic, code: ending.problem.code, facts: ending.problem.facts }, `association ${ending.how}`)
    if (this.#receiving) this.#breakOff(this.#receiving)
  }

  #breakOff(receiving: ReceivingObject): void {
    this.#receiving = undefined
    this.#refused(
      new Problem('archive/unreadable', {
        reason: 'the data set broke off, nothing of it is kept',
        sopInstanceUid: receiving.sopInstanceUid,
      }),
    )
    this.#begin(receiving.abandon())
  }

  #refused(problem: Problem): void {
    this.#host.refused(this.#sender.callingAeTitle, this.#sender.remoteAddress, problem)
  }

  onData(fragment: Fragment): Promise<void> | undefined {
    const context = this.#contexts.get(fragment.contextId)
    if (!context) throw protocolFault('presentation context not accepted', { contextId: fragment.contextId })
    this.#host.figures.receivedBytes.inc(fragment.data.length)
    this.#traffic.receivedBytes += fragment.data.length
    if (!this.#messages.isInsideMessage)
      this.#layer.patience.wait('rest of the message', this.#host.limits.stallMs, this.#host.limits.minBytesPerStall)
    const part = this.#messages.take(fragment)
    if (part === undefined) return
    if (part.kind === 'dataset') return this.#takeDataset(part.data, part.last)
    if (part.command.commandField === commandFields.cCancel) return this.#cancel(part.command)
    if (isResponse(part.command)) return this.#answered(part.command)
    if (this.#asked && this.#operation) throw protocolFault('a request while sub-operations are under way', { commandField: part.command.commandField })
    if (!this.#operation) return this.#start(context, part.command)
    return this.#operation.then(() => this.#start(context, part.command))
  }

  #takeDataset(data: Buffer, last: boolean): Promise<void> | undefined {
    const taker = this.#dataset
    const busy = taker?.take(data)
    if (!last) return busy
    this.#dataset = undefined
    this.#layer.patience.rest()
    taker?.complete()
    return
  }

  #cancel(command: CommandSet): undefined {
    const cancelled = command.messageIdBeingRespondedTo
    if (this.#find && this.#find.messageId === cancelled) this.#find.cancel()
    else if (this.#exchange && this.#exchange.messageId === cancelled) this.#exchange.cancel.abort()
    else this.#expectNext() // too late: PS3.7 9.3.2.3 asks for no answer
  }

  #answered(command: CommandSet): undefined {
    const asked = this.#asked
    if (!asked || asked.messageId !== command.messageIdBeingRespondedTo || hasDataset(command))
      throw protocolFault('response without a request', { commandField: command.commandField })
    this.#asked = undefined
    this.#layer.patience.rest()
    this.#expectNext()
    asked.resolve(command)
  }

  /** What services see of the peer. It stays usable after their answer, as long as the association lives. */
  #peer(): AskablePeer {
    const isConnected = () => this.#layer.isEstablished
    return {
      get isConnected() {
        return isConnected()
      },
      contexts: [...this.#contexts.values()].filter(({ peerIsScp }) => peerIsScp),
      request: (contextId, command, dataset) => this.#ask(contextId, command, dataset),
    }
  }

  async #ask(contextId: number, command: CommandSet, dataset?: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<CommandSet> {
    if (!this.#layer.isEstablished || this.#asked) throw new Problem('dimse/lost', { reason: 'the association is over or busy' })
    const messageId = (this.#lastMessageId % 0xffff) + 1
    this.#lastMessageId = messageId
    const answered = new Promise<CommandSet>((resolve, reject) => {
      this.#asked = { messageId, resolve, reject }
    })
    answered.catch(() => undefined) // when sending fails as well, that is what is told
    this.#layer.patience.wait('room to send', this.#host.limits.stallMs, 1)
    try {
      await this.#sending.send(contextId, { ...command, messageId }, dataset)
    } catch (error) {
      // Half a message cannot be taken back.
      this.#layer.abort(isProblem(error) ? error : protocolFault('the data set could not be read'))
      throw error
    }
    if (this.#asked) this.#layer.patience.wait('response', this.#host.limits.idleMs)
    return answered
  }

  /** It is the peer's turn. */
  #expectNext(): void {
    if (this.#layer.isEstablished && !this.#operation) this.#layer.patience.wait('next message', this.#host.limits.idleMs)
  }

  /** `work` is ours; the peer waits. Never rejects. */
  #begin(work: Promise<void>): void {
    this.#layer.patience.rest()
    const operation: Promise<void> = work
      .catch((error: unknown) => {
        if (!this.#layer.isEstablished) return this.#log.debug({ err: error }, 'operation ended after the association')
        this.#log.error({ err: error }, 'operation failed')
        this.#layer.abort(isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }))
      })
      .then(() => {
        if (this.#operation !== operation) return
        this.#operation = undefined
        this.#expectNext()
      })
    this.#operation = operation
  }

  #start(context: AcceptedContext, command: CommandSet): undefined {
    // The peer went while the message before was being answered: nobody would ever abandon what began now.
    if (!this.#layer.isEstablished) return
    const service = this.#host.services.find(({ kind, commands }) => kind === context.kind && commands.includes(command.commandField))
    if (service) return this.#serve(service, context, command)
    switch (command.commandField) {
      case commandFields.cEcho:
        return this.#afterDataset(command, () =>
          this.#answer(context, command, { status: context.kind === 'verification' ? status.success : status.sopClassNotSupported }),
        )
      case commandFields.cStore:
        return this.#store(context, command)
      case commandFields.cFind:
        return this.#query(context, command)
      default:
        return this.#afterDataset(command, () =>
          this.#answer(context, command, { status: status.unrecognizedOperation, errorComment: 'operation not supported' }),
        )
    }
  }

  async #answer(context: AcceptedContext, command: CommandSet, answer: Answer): Promise<void> {
    if (this.#layer.isEstablished) await this.#sending.send(context.id, responseTo(command, answer))
  }

  /** Answers when the message is complete, reading and dropping a data set that nobody wants. */
  #afterDataset(command: CommandSet, then: () => Promise<void>): undefined {
    if (!hasDataset(command)) return void this.#begin(then())
    this.#dataset = { take: () => undefined, complete: () => this.#begin(then()) }
  }

  #store(context: AcceptedContext, command: CommandSet): undefined {
    if (!hasDataset(command)) {
      return void this.#begin(this.#answer(context, command, answerOf(new Problem('archive/unreadable', { reason: 'no data set' }))))
    }
    const receiving = new ReceivingObject(command, context, this.#sender, this.#host.storage)
    this.#receiving = receiving
    const stored = async () => {
      const { answer, failure } = await receiving.commit()
      this.#host.figures.stored.inc({ status: answer.status.toString(16).padStart(4, '0') })
      if (failure !== undefined) this.#reportFailure(command, answer, failure)
      else this.#traffic.stored += 1
      await this.#answer(context, command, answer)
    }
    this.#dataset = {
      take: (data) => receiving.take(data),
      complete: () => {
        this.#receiving = undefined // from here on a lost peer does not take back what is being committed
        this.#begin(stored())
      },
    }
  }

  #reportFailure(command: CommandSet, { status: code }: Answer, failure: unknown): void {
    const facts = {
      sopClassUid: command.affectedSopClassUid?.slice(0, 64),
      sopInstanceUid: command.affectedSopInstanceUid?.slice(0, 64),
      status: code.toString(16),
    }
    if (isProblem(failure)) this.#refused(new Problem(failure.code, { ...failure.facts, ...facts }, { cause: failure }))
    else this.#log.error({ ...facts, err: failure }, 'object not stored')
  }

  #query(context: AcceptedContext, command: CommandSet): undefined {
    if (context.kind !== 'query' || !hasDataset(command)) {
      const answer =
        context.kind === 'query'
          ? { status: status.identifierMismatch, errorComment: 'no identifier' }
          : { status: status.sopClassNotSupported }
      return this.#afterDataset(command, () => this.#answer(context, command, answer))
    }
    const identifier = new IncomingIdentifier(this.#host.limits.maxIdentifierBytes)
    this.#dataset = {
      take: (data) => void identifier.take(data),
      complete: () => this.#begin(this.#runFind(context, command, identifier)),
    }
  }

  /** A request with a small data set, for one of the services. */
  #serve(service: MessageService, context: AcceptedContext, command: CommandSet): undefined {
    if (!hasDataset(command)) return void this.#begin(this.#runService(service, context, command, undefined))
    const whole = new IncomingIdentifier(service.maxDataSetBytes ?? this.#host.limits.maxIdentifierBytes)
    this.#dataset = {
      take: (data) => void whole.take(data),
      complete: () => this.#begin(this.#runService(service, context, command, whole)),
    }
  }

  async #runService(service: MessageService, context: AcceptedContext, command: CommandSet, whole: IncomingIdentifier | undefined): Promise<void> {
    const cancel = new AbortController()
    this.#exchange = { messageId: command.messageId, cancel }
    this.#traffic.queries += 1
    const charset = this.#sender.terms?.charset ?? this.#host.charset
    const { id: contextId, abstractSyntaxUid: sopClassUid, transferSyntaxUid, extended = plainBehaviour } = context
    try {
      const request = { contextId, sopClassUid, transferSyntaxUid, extended, command, dataset: whole?.whole(), caller: this.#sender, charset }
      for await (const reply of service.answer(request, cancel.signal, this.#peer())) await this.#reply(context, command, reply)
    } catch (error) {
      if (isProblem(error)) this.#refused(error)
      else this.#log.error({ err: error }, 'request failed')
      await this.#answer(context, command, isProblem(error) ? answerOf(error) : { status: status.processingFailure })
    } finally {
      this.#exchange = undefined
    }
  }

  async #reply(context: AcceptedContext, command: CommandSet, { answer, command: more, dataset }: Reply): Promise<void> {
    if (!this.#layer.isEstablished) return
    const response = responseTo(command, answer, dataset ? DATASET_FOLLOWS : NO_DATASET)
    await this.#sending.send(context.id, { ...response, ...more }, dataset && [dataset])
  }

  async #runFind(context: AcceptedContext, command: CommandSet, identifier: IncomingIdentifier): Promise<void> {
    const settings = { aeTitle: this.#host.policy.aeTitle, charset: this.#sender.terms?.charset ?? this.#host.charset, maxMatches: this.#host.limits.maxMatches }
    const find = new Find(this.#sending, context, command, settings)
    this.#find = find
    this.#traffic.queries += 1
    try {
      const { answer, matches } = await find.run(identifier.whole(), this.#host.query, this.#sender)
      this.#log.debug({ matches, status: answer.status.toString(16) }, 'query answered')
      await this.#answer(context, command, answer)
    } catch (error) {
      if (isProblem(error)) this.#refused(error)
      else this.#log.error({ err: error }, 'query failed')
      // Unable to process (PS3.4 C.4.1.1.4) unless the problem has a status of its own.
      const answer = isProblem(error)
        ? { ...answerOf(error), status: error.answer.dimse ?? status.unableToProcess }
        : { status: status.unableToProcess }
      await this.#answer(context, command, answer)
    } finally {
      this.#find = undefined
    }
  }
}
