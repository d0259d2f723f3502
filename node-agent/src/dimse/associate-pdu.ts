import { Buffer } from 'node:buffer'
import { type ByteReader, protocolFault, trimPadding } from './byte-reader.ts'
import { decodeUserInformation, encodeUserInformation, item, type UserInformation } from './user-information.ts'

/** PS3.8 9.3.2 and 9.3.3. AE titles are as sent, without padding; whether they are valid is decided by negotiation. */
export interface AssociateRequest {
  readonly type: 'A-ASSOCIATE-RQ'
  readonly protocolVersion: number
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly applicationContext: string
  readonly contexts: readonly ProposedContext[]
  readonly user: UserInformation
}

export interface AssociateAccept {
  readonly type: 'A-ASSOCIATE-AC'
  readonly protocolVersion: number
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly applicationContext: string
  readonly contexts: readonly AnsweredContext[]
  readonly user: UserInformation
}

export interface ProposedContext {
  /** Odd, 1 to 255. */
  readonly id: number
  readonly abstractSyntaxUid: string
  readonly transferSyntaxUids: readonly string[]
}

export interface AnsweredContext {
  readonly id: number
  readonly result: ContextResult
  /** Not significant unless accepted (PS3.8 9.3.3.2), and then often empty. */
  readonly transferSyntaxUid: string
}

/** PS3.8 Table 9-18 */
export const contextResults = {
  accepted: 0,
  userRejection: 1,
  noReason: 2,
  abstractSyntaxNotSupported: 3,
  transferSyntaxesNotSupported: 4,
} as const
export type ContextResult = (typeof contextResults)[keyof typeof contextResults]

/** DICOM Application Context Name, PS3.7 A.2.1 */
export const DICOM_APPLICATION_CONTEXT = '1.2.840.10008.3.1.1.1'

export function decodeAssociateRequest(reader: ByteReader): AssociateRequest {
  const head = decodeHead(reader)
  const contexts: ProposedContext[] = []
  const user = decodeItems(reader, 0x20, (part) => contexts.push(decodeProposedContext(part)))
  if (contexts.length === 0) throw protocolFault('no presentation context proposed')
  if (new Set(contexts.map((context) => context.id)).size !== contexts.length) throw protocolFault('presentation context ID used twice')
  return { type: 'A-ASSOCIATE-RQ', ...head, ...user, contexts }
}

export function decodeAssociateAccept(reader: ByteReader): AssociateAccept {
  const head = decodeHead(reader)
  const contexts: AnsweredContext[] = []
  const user = decodeItems(reader, 0x21, (part) => contexts.push(decodeAnsweredContext(part)))
  return { type: 'A-ASSOCIATE-AC', ...head, ...user, contexts }
}

function decodeHead(reader: ByteReader) {
  const protocolVersion = reader.uint16be()
  reader.skip(2)
  const calledAeTitle = trimPadding(reader.text(16))
  const callingAeTitle = trimPadding(reader.text(16))
  reader.skip(32)
  return { protocolVersion, calledAeTitle, callingAeTitle }
}

/** Items may come in any order; unknown ones are passed over (PS3.8 9.3.1). */
function decodeItems(reader: ByteReader, contextItem: number, onContext: (part: ByteReader) => void) {
  let applicationContext: string | undefined
  let user: UserInformation | undefined
  while (reader.remaining > 0) {
    const type = reader.uint8()
    reader.skip(1)
    const part = reader.part(reader.uint16be())
    if (type === 0x10) applicationContext = part.uid(part.remaining)
    else if (type === 0x50) user = decodeUserInformation(part)
    else if (type === contextItem) onContext(part)
  }
  if (applicationContext === undefined) throw protocolFault('application context missing')
  if (user === undefined) throw protocolFault('user information missing')
  return { applicationContext, user }
}

function decodeProposedContext(part: ByteReader): ProposedContext {
  const id = decodeContextId(part)
  part.skip(3)
  let abstractSyntaxUid: string | undefined
  const transferSyntaxUids: string[] = []
  while (part.remaining > 0) {
    const type = part.uint8()
    part.skip(1)
    const uid = part.uid(part.uint16be())
    if (type === 0x30) abstractSyntaxUid = uid
    else if (type === 0x40) transferSyntaxUids.push(uid)
  }
  if (abstractSyntaxUid === undefined || transferSyntaxUids.length === 0)
    throw protocolFault('presentation context without its syntaxes', { contextId: id })
  return { id, abstractSyntaxUid, transferSyntaxUids }
}

function decodeAnsweredContext(part: ByteReader): AnsweredContext {
  const id = decodeContextId(part)
  part.skip(1)
  const result = part.uint8()
  if (!isContextResult(result)) throw protocolFault('unknown presentation context result', { contextId: id })
  part.skip(1)
  let transferSyntaxUid = ''
  while (part.remaining > 0) {
    const type = part.uint8()
    part.skip(1)
    const value = part.part(part.uint16be())
    if (type !== 0x40) continue
    transferSyntaxUid = result === contextResults.accepted ? value.uid(value.remaining) : trimPadding(value.text(value.remaining))
  }
  if (result === contextResults.accepted && transferSyntaxUid === '')
    throw protocolFault('accepted context without transfer syntax', { contextId: id })
  return { id, result, transferSyntaxUid }
}

function isContextResult(value: number): value is ContextResult {
  return value >= 0 && value <= 4
}

function decodeContextId(part: ByteReader): number {
  const id = part.uint8()
  if (id % 2 === 0) throw protocolFault('presentation context ID is even', { contextId: id })
  return id
}

/** The body of an A-ASSOCIATE-RQ or -AC, without the PDU header. */
export function encodeAssociate(pdu: AssociateRequest | AssociateAccept): Buffer {
  const head = Buffer.alloc(68)
  head.writeUInt16BE(pdu.protocolVersion, 0)
  head.write(pdu.calledAeTitle.padEnd(16), 4, 16, 'latin1')
  head.write(pdu.callingAeTitle.padEnd(16), 20, 16, 'latin1')
  const contexts = pdu.type === 'A-ASSOCIATE-RQ' ? pdu.contexts.map(encodeProposedContext) : pdu.contexts.map(encodeAnsweredContext)
  return Buffer.concat([
    head,
    item(0x10, Buffer.from(pdu.applicationContext, 'latin1')),
    ...contexts,
    item(0x50, encodeUserInformation(pdu.user)),
  ])
}

function encodeProposedContext(context: ProposedContext): Buffer {
  const syntaxes = context.transferSyntaxUids.map((uid) => item(0x40, Buffer.from(uid, 'latin1')))
  return item(
    0x20,
    Buffer.concat([Buffer.from([context.id, 0, 0, 0]), item(0x30, Buffer.from(context.abstractSyntaxUid, 'latin1')), ...syntaxes]),
  )
}

function encodeAnsweredContext(context: AnsweredContext): Buffer {
  return item(
    0x21,
    Buffer.concat([Buffer.from([context.id, 0, context.result, 0]), item(0x40, Buffer.from(context.transferSyntaxUid, 'latin1'))]),
  )
}
