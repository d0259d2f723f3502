import { Buffer } from 'node:buffer'
import { protocolFault } from './byte-reader.ts'
import { type DataTransfer, decodeMessageControl, decodePdu, PDU_HEADER_BYTES, PDV_HEADER_BYTES, type Pdu, pduTypeOf } from './pdu.ts'

/** What comes out of the stream: short PDUs whole, the values of a P-DATA-TF piece by piece as their bytes come in. */
export type Arrival = { readonly kind: 'pdu'; readonly pdu: Exclude<Pdu, DataTransfer> } | Fragment

/** A piece of a presentation data value. `last` is set on the piece that ends the command or data set. */
export interface Fragment {
  readonly kind: 'fragment'
  readonly contextId: number
  readonly isCommand: boolean
  readonly last: boolean
  /** A view of the received chunk, not a copy. */
  readonly data: Buffer
}

export interface SplitterLimits {
  /** Longest P-DATA-TF we announced, without its header. */
  readonly maxPduBytes: number
  /** Longest A-ASSOCIATE-RQ or -AC: 128 contexts with all transfer syntaxes stay well below 256 KiB. */
  readonly maxAssociateBytes: number
}

type Step = 'pdu header' | 'pdu body' | 'value header' | 'value data'

/**
 * Cuts PDUs out of a TCP stream with a cursor over the received chunk. Nothing is kept but an unfinished header or an
 * unfinished short PDU, so memory does not depend on what a peer claims, and every byte is looked at once.
 */
export class PduSplitter {
  readonly #limits: SplitterLimits
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0
  #step: Step = 'pdu header'
  /** Bytes that must be together before they can be read: a header or a short PDU. */
  #gathered = Buffer.allocUnsafe(PDU_HEADER_BYTES)
  #gatheredBytes = 0
  #pduRemaining = 0
  #valueRemaining = 0
  #value = { contextId: 0, isCommand: false, last: false }

  constructor(limits: SplitterLimits) {
    this.#limits = limits
  }

  /** The next chunk of the stream; the one before must have been read to its end. */
  feed(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** True in the middle of a PDU: the peer owes the rest of it. */
  get isInsidePdu(): boolean {
    return this.#step !== 'pdu header' || this.#gatheredBytes > 0
  }

  /**
   * @returns What comes next out of the chunk fed last, or undefined when it is used up.
   * @throws {Problem} dimse/protocol; after that the stream has no known PDU boundary any more.
   */
  next(): Arrival | undefined {
    for (;;) {
      switch (this.#step) {
        case 'pdu header': {
          if (!this.#gather(PDU_HEADER_BYTES)) return undefined
          this.#beginPdu()
          break
        }
        case 'pdu body': {
          if (!this.#gather(this.#gathered.length)) return undefined
          const pdu = decodePdu(this.#gathered)
          this.#expect('pdu header', PDU_HEADER_BYTES)
          if (pdu.type !== 'P-DATA-TF') return { kind: 'pdu', pdu }
          break
        }
        case 'value header': {
          if (!this.#gather(PDV_HEADER_BYTES)) return undefined
          this.#beginValue()
          if (this.#valueRemaining === 0) return this.#takeFragment()
          break
        }
        case 'value data': {
          if (this.#at === this.#chunk.length) return undefined
          return this.#takeFragment()
        }
      }
    }
  }

  #expect(step: Step, lengthBytes: number): void {
    this.#step = step
    this.#gatheredBytes = 0
    if (this.#gathered.length !== lengthBytes) this.#gathered = Buffer.allocUnsafe(lengthBytes)
  }

  /** Copies towards `lengthBytes`; false when the chunk ended before. */
  #gather(lengthBytes: number): boolean {
    const taken = Math.min(lengthBytes - this.#gatheredBytes, this.#chunk.length - this.#at)
    this.#chunk.copy(this.#gathered, this.#gatheredBytes, this.#at, this.#at + taken)
    this.#gatheredBytes += taken
    this.#at += taken
    if (this.#gatheredBytes === 0) return false
    // The first byte alone tells a stranger (HTTP, TLS) from a DICOM peer.
    if (this.#step === 'pdu header' && pduTypeOf(this.#gathered.readUInt8(0)) === undefined) throw protocolFault('unrecognised PDU type')
    return this.#gatheredBytes === lengthBytes
  }

  #beginPdu(): void {
    const type = pduTypeOf(this.#gathered.readUInt8(0))
    const lengthBytes = this.#gathered.readUInt32BE(2)
    if (type === 'P-DATA-TF') {
      if (lengthBytes > this.#limits.maxPduBytes)
        throw protocolFault('P-DATA-TF longer than announced', { lengthBytes, maxPduBytes: this.#limits.maxPduBytes })
      if (lengthBytes < PDV_HEADER_BYTES) throw protocolFault('P-DATA-TF too short', { lengthBytes })
      this.#pduRemaining = lengthBytes
      this.#expect('value header', PDV_HEADER_BYTES)
      return
    }
    const longest = type === 'A-ASSOCIATE-RQ' || type === 'A-ASSOCIATE-AC' ? this.#limits.maxAssociateBytes : 4
    if (lengthBytes > longest || lengthBytes < 4) throw protocolFault('PDU length out of bounds', { type, lengthBytes })
    const header = this.#gathered
    this.#step = 'pdu body'
    this.#gathered = Buffer.allocUnsafe(PDU_HEADER_BYTES + lengthBytes)
    header.copy(this.#gathered)
  }

  #beginValue(): void {
    const lengthBytes = this.#gathered.readUInt32BE(0)
    if (lengthBytes < 2 || lengthBytes + 4 > this.#pduRemaining) throw protocolFault('value longer than its P-DATA-TF', { lengthBytes })
    this.#value = { contextId: this.#gathered.readUInt8(4), ...decodeMessageControl(this.#gathered.readUInt8(5)) }
    this.#valueRemaining = lengthBytes - 2
    this.#pduRemaining -= lengthBytes + 4
    this.#step = 'value data'
  }

  #takeFragment(): Fragment {
    const taken = Math.min(this.#valueRemaining, this.#chunk.length - this.#at)
    const data = this.#chunk.subarray(this.#at, this.#at + taken)
    this.#at += taken
    this.#valueRemaining -= taken
    const { contextId, isCommand } = this.#value
    const last = this.#value.last && this.#valueRemaining === 0
    if (this.#valueRemaining === 0) this.#endValue()
    return { kind: 'fragment', contextId, isCommand, last, data }
  }

  #endValue(): void {
    if (this.#pduRemaining === 0) return this.#expect('pdu header', PDU_HEADER_BYTES)
    if (this.#pduRemaining < PDV_HEADER_BYTES) throw protocolFault('bytes left over in P-DATA-TF', { lengthBytes: this.#pduRemaining })
    this.#expect('value header', PDV_HEADER_BYTES)
  }
}
