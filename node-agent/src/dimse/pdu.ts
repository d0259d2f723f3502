import { Buffer } from 'node:buffer'
import {
  type AssociateAccept,
  type AssociateRequest,
  decodeAssociateAccept,
  decodeAssociateRequest,
  encodeAssociate,
} from './associate-pdu.ts'
import { ByteReader, protocolFault } from './byte-reader.ts'

/**
 * The seven PDUs of PS3.8 9.3 as one sum type. `decodePdu` and `encodePdu` are pure; PDUs are cut out of a TCP stream by
 * pdu-splitter.ts, which does not wait for the end of a P-DATA-TF.
 */
export type Pdu = AssociateRequest | AssociateAccept | AssociateReject | DataTransfer | ReleaseRequest | ReleaseReply | Abort

/** PS3.8 9.3.4. `result` 1 permanent, 2 transient; `source` 1 service user, 2 provider (ACSE), 3 provider (presentation). */
export interface AssociateReject {
  readonly type: 'A-ASSOCIATE-RJ'
  readonly result: number
  readonly source: number
  readonly reason: number
}

/** PS3.8 9.3.5 */
export interface DataTransfer {
  readonly type: 'P-DATA-TF'
  readonly values: readonly PresentationDataValue[]
}

/** A fragment of a command (PS3.8 E.2) or data set; `last` ends it. */
export interface PresentationDataValue {
  readonly contextId: number
  readonly isCommand: boolean
  readonly last: boolean
  readonly data: Buffer
}

export interface ReleaseRequest {
  readonly type: 'A-RELEASE-RQ'
}
export interface ReleaseReply {
  readonly type: 'A-RELEASE-RP'
}

/** PS3.8 9.3.8. `source` 0 service user, 2 service provider; the reason means something for the provider alone. */
export interface Abort {
  readonly type: 'A-ABORT'
  readonly source: number
  readonly reason: number
}

export const pduTypes = {
  0x01: 'A-ASSOCIATE-RQ',
  0x02: 'A-ASSOCIATE-AC',
  0x03: 'A-ASSOCIATE-RJ',
  0x04: 'P-DATA-TF',
  0x05: 'A-RELEASE-RQ',
  0x06: 'A-RELEASE-RP',
  0x07: 'A-ABORT',
} as const satisfies Record<number, Pdu['type']>

export function pduTypeOf(code: number): Pdu['type'] | undefined {
  return (pduTypes as Record<number, Pdu['type'] | undefined>)[code]
}

/** Rejections that we send, PS3.8 Table 9-21. */
export const rejections = {
  noReason: { result: 1, source: 1, reason: 1 },
  applicationContextNotSupported: { result: 1, source: 1, reason: 2 },
  callingAeNotRecognised: { result: 1, source: 1, reason: 3 },
  calledAeNotRecognised: { result: 1, source: 1, reason: 7 },
  protocolVersionNotSupported: { result: 1, source: 2, reason: 2 },
  temporaryCongestion: { result: 2, source: 3, reason: 1 },
  localLimitExceeded: { result: 2, source: 3, reason: 2 },
} as const

const rejectionReasons: Record<string, string> = {
  '1.1': 'no reason given',
  '1.2': 'application context name not supported',
  '1.3': 'calling AE title not recognised',
  '1.7': 'called AE title not recognised',
  '2.1': 'no reason given (ACSE)',
  '2.2': 'protocol version not supported',
  '3.1': 'temporary congestion',
  '3.2': 'local limit exceeded',
}

/** The words of PS3.8 Table 9-21, for logs and problem facts. */
export function rejectionText(reject: Omit<AssociateReject, 'type'>): string {
  const reason = rejectionReasons[`${reject.source}.${reject.reason}`] ?? `source ${reject.source}, reason ${reject.reason}`
  return reject.result === 2 ? `${reason} (transient)` : reason
}

/** A-ABORT, PS3.8 Table 9-26. */
export const abortReasons = {
  notSpecified: 0,
  unrecognizedPdu: 1,
  unexpectedPdu: 2,
  unrecognizedParameter: 4,
  unexpectedParameter: 5,
  invalidParameter: 6,
} as const
export const abortSources = { serviceUser: 0, serviceProvider: 2 } as const

/** Type, reserved byte and length before every PDU. */
export const PDU_HEADER_BYTES = 6
/** Length, context ID and message control header before the data of a PDV. */
export const PDV_HEADER_BYTES = 6

/**
 * @param bytes one whole PDU with its header.
 * @throws {Problem} dimse/protocol when type, lengths or fields are not as PS3.8 9.3 says.
 */
export function decodePdu(bytes: Buffer): Pdu {
  const reader = new ByteReader(bytes)
  const type = pduTypeOf(reader.uint8())
  if (type === undefined) throw protocolFault('unrecognised PDU type')
  reader.skip(1)
  const lengthBytes = reader.uint32be()
  if (lengthBytes !== reader.remaining) throw protocolFault('PDU length differs from its bytes', { lengthBytes })
  return decodeBody(type, reader)
}

function decodeBody(type: Pdu['type'], reader: ByteReader): Pdu {
  switch (type) {
    case 'A-ASSOCIATE-RQ':
      return decodeAssociateRequest(reader)
    case 'A-ASSOCIATE-AC':
      return decodeAssociateAccept(reader)
    case 'P-DATA-TF':
      return { type, values: decodeValues(reader) }
    case 'A-ASSOCIATE-RJ': {
      fixedLength(reader)
      reader.skip(1)
      return { type, result: reader.uint8(), source: reader.uint8(), reason: reader.uint8() }
    }
    case 'A-ABORT': {
      fixedLength(reader)
      reader.skip(2)
      return { type, source: reader.uint8(), reason: reader.uint8() }
    }
    default:
      fixedLength(reader)
      return { type }
  }
}

/** RJ, RELEASE and ABORT are always four bytes long. */
function fixedLength(reader: ByteReader): void {
  if (reader.remaining !== 4) throw protocolFault('PDU of fixed length has another length', { lengthBytes: reader.remaining })
}

function decodeValues(reader: ByteReader): PresentationDataValue[] {
  const values: PresentationDataValue[] = []
  while (reader.remaining > 0) {
    const item = reader.part(reader.uint32be())
    const contextId = item.uint8()
    const { isCommand, last } = decodeMessageControl(item.uint8())
    values.push({ contextId, isCommand, last, data: item.bytes(item.remaining) })
  }
  if (values.length === 0) throw protocolFault('P-DATA-TF without a value')
  return values
}

/** PS3.8 E.2: bit 0 command, bit 1 last fragment; the other bits are not checked. */
export function decodeMessageControl(header: number): { isCommand: boolean; last: boolean } {
  return { isCommand: (header & 1) !== 0, last: (header & 2) !== 0 }
}

export function encodePdu(pdu: Pdu): Buffer {
  switch (pdu.type) {
    case 'A-ASSOCIATE-RQ':
      return withHeader(0x01, encodeAssociate(pdu))
    case 'A-ASSOCIATE-AC':
      return withHeader(0x02, encodeAssociate(pdu))
    case 'A-ASSOCIATE-RJ':
      return withHeader(0x03, Buffer.from([0, pdu.result, pdu.source, pdu.reason]))
    case 'P-DATA-TF':
      return withHeader(0x04, Buffer.concat(pdu.values.flatMap((value) => [encodeValueHeader(value, value.data.length), value.data])))
    case 'A-RELEASE-RQ':
      return withHeader(0x05, Buffer.alloc(4))
    case 'A-RELEASE-RP':
      return withHeader(0x06, Buffer.alloc(4))
    case 'A-ABORT':
      return withHeader(0x07, Buffer.from([0, 0, pdu.source, pdu.reason]))
  }
}

function withHeader(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(PDU_HEADER_BYTES)
  header.writeUInt8(type, 0)
  header.writeUInt32BE(body.length, 2)
  return Buffer.concat([header, body])
}

function encodeValueHeader(value: Omit<PresentationDataValue, 'data'>, dataBytes: number): Buffer {
  const header = Buffer.alloc(PDV_HEADER_BYTES)
  header.writeUInt32BE(dataBytes + 2, 0)
  header.writeUInt8(value.contextId, 4)
  header.writeUInt8((value.isCommand ? 1 : 0) | (value.last ? 2 : 0), 5)
  return header
}

/** The twelve bytes before the data of a P-DATA-TF with one value, so that large data is written without being copied. */
export function encodeDataTransferHeader(value: Omit<PresentationDataValue, 'data'>, dataBytes: number): Buffer {
  const header = Buffer.alloc(PDU_HEADER_BYTES)
  header.writeUInt8(0x04, 0)
  header.writeUInt32BE(dataBytes + PDV_HEADER_BYTES, 2)
  return Buffer.concat([header, encodeValueHeader(value, dataBytes)])
}
