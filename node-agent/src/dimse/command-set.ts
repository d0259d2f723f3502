import { Buffer } from 'node:buffer'
import { protocolFault, trimPadding } from './byte-reader.ts'

/** The command elements of PS3.7 E.1 that we read or write, with their VR. Others are passed over. */
const elements = {
  affectedSopClassUid: { element: 0x0002, vr: 'UI' },
  requestedSopClassUid: { element: 0x0003, vr: 'UI' },
  commandField: { element: 0x0100, vr: 'US' },
  messageId: { element: 0x0110, vr: 'US' },
  messageIdBeingRespondedTo: { element: 0x0120, vr: 'US' },
  moveDestination: { element: 0x0600, vr: 'AE' },
  priority: { element: 0x0700, vr: 'US' },
  commandDataSetType: { element: 0x0800, vr: 'US' },
  status: { element: 0x0900, vr: 'US' },
  offendingElement: { element: 0x0901, vr: 'AT' },
  errorComment: { element: 0x0902, vr: 'LO' },
  errorId: { element: 0x0903, vr: 'US' },
  affectedSopInstanceUid: { element: 0x1000, vr: 'UI' },
  requestedSopInstanceUid: { element: 0x1001, vr: 'UI' },
  eventTypeId: { element: 0x1002, vr: 'US' },
  actionTypeId: { element: 0x1008, vr: 'US' },
  numberOfRemainingSuboperations: { element: 0x1020, vr: 'US' },
  numberOfCompletedSuboperations: { element: 0x1021, vr: 'US' },
  numberOfFailedSuboperations: { element: 0x1022, vr: 'US' },
  numberOfWarningSuboperations: { element: 0x1023, vr: 'US' },
  moveOriginatorAeTitle: { element: 0x1030, vr: 'AE' },
  moveOriginatorMessageId: { element: 0x1031, vr: 'US' },
} as const satisfies Record<string, { element: number; vr: 'UI' | 'US' | 'AE' | 'LO' | 'AT' }>
type Keyword = keyof typeof elements

/** A command set by keyword. US is a number; AT is a number (group‖element, 32 bits); text is without padding. */
export type CommandSet = {
  readonly [K in Keyword]?: (typeof elements)[K]['vr'] extends 'US' | 'AT' ? number : string
} & { readonly commandField: number; readonly commandDataSetType: number }

/** PS3.7 E.1: Command Field. A response is its request with bit 15 set. */
export const commandFields = {
  cStore: 0x0001,
  cGet: 0x0010,
  cFind: 0x0020,
  cMove: 0x0021,
  cEcho: 0x0030,
  nEventReport: 0x0100,
  nGet: 0x0110,
  nSet: 0x0120,
  nAction: 0x0130,
  nCreate: 0x0140,
  cCancel: 0x0fff,
  response: 0x8000,
} as const

/** Command Data Set Type: anything but this value says that a data set follows. */
export const NO_DATASET = 0x0101
export const DATASET_FOLLOWS = 0x0000

export const isResponse = (command: CommandSet): boolean => (command.commandField & commandFields.response) !== 0
export const hasDataset = (command: CommandSet): boolean => command.commandDataSetType !== NO_DATASET

const keywordOf = new Map<number, Keyword>(Object.entries(elements).map(([keyword, { element }]) => [element, keyword as Keyword]))
const ELEMENT_HEADER_BYTES = 8

/**
 * @param bytes a whole command set, Implicit VR Little Endian (PS3.7 6.3.1).
 * @throws {Problem} dimse/protocol for anything that is not group 0000 with fitting lengths, or lacks what every command has.
 */
export function decodeCommandSet(bytes: Buffer): CommandSet {
  const found: Partial<Record<Keyword, string | number>> = {}
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < ELEMENT_HEADER_BYTES) throw protocolFault('command element cut off')
    const group = bytes.readUInt16LE(at)
    const element = bytes.readUInt16LE(at + 2)
    const lengthBytes = bytes.readUInt32LE(at + 4)
    at += ELEMENT_HEADER_BYTES
    if (group !== 0) throw protocolFault('command set holds another group')
    if (lengthBytes > bytes.length - at) throw protocolFault('command element points past the end')
    const keyword = keywordOf.get(element)
    if (keyword !== undefined) {
      if (found[keyword] !== undefined) throw protocolFault('command element twice', { keyword })
      found[keyword] = decodeValue(keyword, bytes.subarray(at, at + lengthBytes))
    }
    at += lengthBytes
  }
  if (!isCommandSet(found)) throw protocolFault('command set without command field or data set type')
  return found
}

function isCommandSet(found: Partial<Record<Keyword, string | number>>): found is CommandSet {
  return found.commandField !== undefined && found.commandDataSetType !== undefined
}

function decodeValue(keyword: Keyword, value: Buffer): string | number {
  const { vr } = elements[keyword]
  if (vr === 'US') {
    if (value.length !== 2) throw protocolFault('command element of wrong length', { keyword })
    return value.readUInt16LE(0)
  }
  if (vr === 'AT') return value.length < 4 ? 0 : value.readUInt16LE(0) * 0x10000 + value.readUInt16LE(2) // often sent empty
  return trimPadding(value.toString('latin1'))
}

/** Implicit VR Little Endian with group length, elements in ascending order. */
export function encodeCommandSet(command: CommandSet): Buffer {
  const parts: Buffer[] = []
  for (const [element, keyword] of [...keywordOf].sort(([a], [b]) => a - b)) {
    const value = command[keyword]
    if (value !== undefined) parts.push(encodeElement(element, encodeValue(keyword, value)))
  }
  const body = Buffer.concat(parts)
  const groupLength = Buffer.alloc(4)
  groupLength.writeUInt32LE(body.length)
  return Buffer.concat([encodeElement(0x0000, groupLength), body])
}

function encodeElement(element: number, value: Buffer): Buffer {
  const header = Buffer.alloc(ELEMENT_HEADER_BYTES)
  header.writeUInt16LE(element, 2)
  header.writeUInt32LE(value.length, 4)
  return Buffer.concat([header, value])
}

function encodeValue(keyword: Keyword, value: string | number): Buffer {
  const { vr } = elements[keyword]
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(vr === 'AT' ? 4 : 2)
    if (vr === 'AT') bytes.writeUInt16LE(Math.floor(value / 0x10000), 0)
    bytes.writeUInt16LE(value % 0x10000, vr === 'AT' ? 2 : 0)
    return bytes
  }
  const padded = value.length % 2 === 0 ? value : value + (vr === 'UI' ? '\0' : ' ')
  return Buffer.from(padded, 'latin1')
}
