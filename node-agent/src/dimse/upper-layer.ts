import { type Buffer } from 'node:buffer'
import { type Socket } from 'node:net'
import { isProblem, Problem } from 'specs'
import { type AssociateAccept, type AssociateRequest } from './associate-pdu.ts'
import { type AssociateReject, abortReasons, abortSources, encodeDataTransferHeader, encodePdu, type Pdu } from './pdu.ts'
import { type Arrival, type Fragment, PduSplitter, type SplitterLimits } from './pdu-splitter.ts'
import { Patience } from './patience.ts'
import { abortedByPeer, type Ending, lostConnection, providerAbort, rejectedWith, unexpectedPdu } from './ending.ts'
import { type Action, actionFor, type Event, type State, stateAfter } from './state-table.ts'

/**
 * Whoever uses the upper layer: the indications and confirmations of PS3.8 7. A returned promise holds the peer back:
 * nothing more is read from the connection until it settles.
 */
export interface UpperLayerUser {
  onAssociateRequest(request: AssociateRequest): void
  onAssociateAccept(accept: AssociateAccept): void
  onData(fragment: Fragment): Promise<void> | undefined
  onReleaseRequest(): Promise<void> | undefined
  /** Once, as soon as no more data can come or go; the connection may linger until the peer closes it. */
  onEnded(ending: Ending): void
}

export interface UpperLayerSettings extends SplitterLimits {
  /** Longest wait for an A-ASSOCIATE-RQ on a new connection, and for the peer to close an ended one (PS3.8 9.1.5). */
  readonly artimMs: number
}

interface Happening {
  readonly pdu?: Pdu
  readonly fragment?: Fragment
  readonly problem?: Problem
}

/** Drives the state table over one TCP or TLS connection. */
export class UpperLayer {
  readonly #socket: Socket
  readonly #side: 'requestor' | 'acceptor'
  readonly #user: UpperLayerUser
  readonly #settings: UpperLayerSettings
  readonly #splitter: PduSplitter
  readonly #artim = new Patience(() => this.#happen('ARTIM expired'))
  /** The wait of whoever uses us; its end is an abort. */
  readonly patience = new Patience((waitingFor) => this.abort(new Problem('dimse/timeout', { waitingFor })))
  #state: State = 'Sta1'
  #held = false
  #ended = false

  /** @param socket not yet connected for a requestor, connected for an acceptor. */
  constructor(socket: Socket, side: 'requestor' | 'acceptor', user: UpperLayerUser, settings: UpperLayerSettings) {
    this.#socket = socket
    this.#side = side
    this.#user = user
    this.#settings = settings
    this.#splitter = new PduSplitter(settings)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    // 'close' always follows; the error only says why.
    let cause: Error | undefined
    socket.on('error', (error) => (cause = error))
    socket.on('close', () => this.#closed(cause))
  }

  get state(): State {
    return this.#state
  }

  get isEstablished(): boolean {
    return this.#state === 'Sta6'
  }

  /** Acceptor: the connection is open; the peer has ARTIM to say what it wants. */
  begin(): void {
    this.#happen('connection indicated')
  }

  /** Requestor: ask for an association over `socket` as soon as it is connected; `connected` is 'connect' or 'secureConnect'. */
  request(request: AssociateRequest, connected: string): void {
    this.#happen('A-ASSOCIATE request')
    this.#socket.once(connected, () => this.#happen('connection confirmed', { pdu: request }))
  }

  accept(accept: AssociateAccept): void {
    this.#happen('accept response', { pdu: accept })
  }

  reject(reject: AssociateReject): void {
    this.#happen('reject response', { pdu: reject })
  }

  /** @returns A promise when the connection is full: wait for it before sending more. */
  send(contextId: number, isCommand: boolean, last: boolean, data: Buffer): Promise<void> | undefined {
    if (this.#ended) throw new Problem('dimse/protocol', { fault: 'the association is over' })
    return this.#happen('P-DATA request', { fragment: { kind: 'fragment', contextId, isCommand, last, data } })
  }

  release(): void {
    if (this.#state === 'Sta6') this.#happen('A-RELEASE request')
  }

  /** The acceptor of a release collision answers the second time it is asked (AR-10); until then there is nothing to say. */
  answerRelease(): void {
    if (actionFor(this.#state, 'release response')) this.#happen('release response')
  }

  abort(problem: Problem): void {
    if (actionFor(this.#state, 'A-ABORT request')) this.#happen('A-ABORT request', { problem })
    else if (!this.#ended) this.#socket.destroy(problem)
  }

  /** Closes the connection at once, without a word: for the end of the process. */
  destroy(): void {
    this.#socket.destroy()
  }

  #received(chunk: Buffer): void {
    this.patience.moved(chunk.length)
    if (this.#state === 'Sta13' || this.#state === 'Sta1') return // nothing after the end is read
    this.#splitter.feed(chunk)
    this.#readOn()
  }

  /** Reads what the chunk holds, and stops reading the connection while the user is busy with a piece of it. */
  #readOn(): void {
    if (this.#ended) return
    try {
      for (let arrival = this.#splitter.next(); arrival !== undefined; arrival = this.#splitter.next()) {
        const busy = this.#arrived(arrival)
        if (this.#ended) return
        if (busy !== undefined) return this.#hold(busy)
      }
    } catch (error) {
      if (this.#ended) throw error
      this.#happen('invalid PDU', { problem: isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }) })
    }
  }

  #hold(busy: Promise<void>): void {
    this.#held = true
    this.#socket.pause()
    this.patience.pause()
    const goOn = () => {
      this.#held = false
      this.patience.resume()
      this.#readOn()
      if (!this.#held) this.#socket.resume()
    }
    busy.then(goOn, (error: unknown) => {
      this.abort(isProblem(error) ? error : new Problem('service/internal', {}, { cause: error }))
      goOn()
    })
  }

  #arrived(arrival: Arrival): Promise<void> | undefined {
    if (arrival.kind === 'fragment') return this.#happen('P-DATA-TF', { fragment: arrival })
    return this.#happen(arrival.pdu.type, { pdu: arrival.pdu })
  }

  #closed(cause: Error | undefined): void {
    if (this.#state !== 'Sta1') this.#happen('connection closed', { problem: lostConnection(cause) })
    this.#artim.rest()
    this.patience.rest()
  }

  #happen(event: Event, happening: Happening = {}): Promise<void> | undefined {
    const action = actionFor(this.#state, event)
    if (action === undefined) throw new Error(`upper layer: ${event} cannot happen in ${this.#state}`)
    this.#state = stateAfter(action, this.#side)
    return this.#do(action, happening)
  }

  #do(action: Action, { pdu, fragment, problem }: Happening): Promise<void> | undefined {
    switch (action) {
      case 'AE-1': // the connection is being made by whoever gave us the socket
      case 'AA-6':
        return
      case 'AE-2':
      case 'AE-7':
        if (pdu) this.#write(encodePdu(pdu))
        return
      case 'AE-3':
        if (pdu?.type === 'A-ASSOCIATE-AC') this.#user.onAssociateAccept(pdu)
        return
      case 'AE-4':
        if (pdu?.type === 'A-ASSOCIATE-RJ')
          this.#end({
            how: 'rejected',
            problem: rejectedWith(pdu),
          })
        this.#socket.destroy()
        return
      case 'AE-5':
        this.#artim.wait('A-ASSOCIATE-RQ', this.#settings.artimMs)
        return
      case 'AE-6':
        this.#artim.rest()
        if (pdu?.type === 'A-ASSOCIATE-RQ') this.#user.onAssociateRequest(pdu)
        return
      case 'AE-8':
        this.#say(pdu)
        return pdu?.type === 'A-ASSOCIATE-RJ' ? this.#end({ how: 'rejected', problem: rejectedWith(pdu) }) : undefined
      case 'DT-1':
      case 'AR-7':
        return fragment ? this.#writeFragment(fragment) : undefined
      case 'DT-2':
      case 'AR-6':
        return fragment ? this.#user.onData(fragment) : undefined
      case 'AR-1':
        this.#write(encodePdu({ type: 'A-RELEASE-RQ' }))
        return
      case 'AR-2':
      case 'AR-8':
        return this.#user.onReleaseRequest()
      case 'AR-3':
        this.#end({ how: 'released' })
        this.#socket.destroySoon()
        return
      case 'AR-4':
        this.#say({ type: 'A-RELEASE-RP' })
        return this.#end({ how: 'released' })
      case 'AR-9':
        this.#write(encodePdu({ type: 'A-RELEASE-RP' }))
        return
      case 'AR-10':
        return this.#user.onReleaseRequest()
      case 'AR-5':
      case 'AA-5':
        this.#artim.rest()
        return this.#end({ how: 'lost', problem: problem ?? lostConnection(undefined) })
      case 'AA-1':
        this.#say({ type: 'A-ABORT', source: abortSources.serviceUser, reason: abortReasons.notSpecified })
        return this.#end({ how: 'aborted', problem: problem ?? unexpectedPdu(pdu) })
      case 'AA-2':
        this.#artim.rest()
        if (pdu) this.#end({ how: 'aborted by peer', problem: abortedByPeer(pdu) })
        else this.#end({ how: 'aborted', problem: problem ?? new Problem('dimse/timeout', { waitingFor: 'A-ASSOCIATE-RQ' }) })
        this.#socket.destroy()
        return
      case 'AA-3':
        this.#end({ how: 'aborted by peer', problem: abortedByPeer(pdu) })
        this.#socket.destroy()
        return
      case 'AA-4':
        return this.#end({ how: 'lost', problem: problem ?? lostConnection(undefined) })
      case 'AA-7':
        this.#say(providerAbort(problem))
        return
      case 'AA-8':
        this.#say(providerAbort(problem))
        return this.#end({ how: 'aborted', problem: problem ?? unexpectedPdu(pdu) })
    }
  }

  /** Our last words: send, then give the peer ARTIM to close. Its bytes are still read (and dropped), lest a reset overtake our words. */
  #say(pdu: Pdu | undefined): void {
    if (pdu) this.#write(encodePdu(pdu))
    this.#socket.end()
    this.#socket.resume()
    this.#artim.wait('end of connection', this.#settings.artimMs)
  }

  #end(ending: Ending): undefined {
    this.patience.rest()
    if (this.#ended) return
    this.#ended = true
    this.#user.onEnded(ending)
  }

  #write(bytes: Buffer): boolean {
    return this.#socket.write(bytes)
  }

  #writeFragment({ contextId, isCommand, last, data }: Fragment): Promise<void> | undefined {
    this.#socket.cork()
    this.#write(encodeDataTransferHeader({ contextId, isCommand, last }, data.length))
    const roomLeft = this.#write(data)
    this.#socket.uncork()
    this.patience.moved(data.length)
    return roomLeft ? undefined : this.#drained()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.once('drain', done)
      this.#socket.once('close', done)
    })
  }
}
