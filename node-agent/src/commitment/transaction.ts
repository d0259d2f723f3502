import { type Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { Problem } from 'specs'
import { anElement, type DataItem, itemsAt, readDataSet, textAt, writeDataSet } from '../dicom/data-set.ts'
import { isUid } from '../dimse/byte-reader.ts'

/** The one instance of the Storage Commitment Push Model class (PS3.4 J.3.5). */
export const COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1'
/** PS3.4 J.3.2.1: Request Storage Commitment. */
export const REQUEST_COMMITMENT = 1
/** PS3.4 J.3.3.1: all is committed; some is not. */
export const eventTypes = { successful: 1, failuresExist: 2 } as const

/** PS3.3 C.14-1, Failure Reason (0008,1197). */
export const failureReasons = { processingFailure: 0x0110, noSuchInstance: 0x0112, classInstanceConflict: 0x0119 } as const

export interface InstanceReference {
  readonly sopClassUid: string
  readonly sopInstanceUid: string
}

/** "Do you keep these for good?" */
export interface CommitmentRequest {
  readonly transactionUid: string
  readonly instances: readonly InstanceReference[]
}

export interface NotCommitted extends InstanceReference {
  readonly reason: number
}

/** The answer, for each instance. */
export interface CommitmentResult {
  readonly transactionUid: string
  readonly committed: readonly InstanceReference[]
  readonly failed: readonly NotCommitted[]
}

/** PS3.5 B.2: 2.25 and a UUID as a number. */
export function newTransactionUid(): string {
  return `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`
}

/** More instances than any study has. */
const MAX_INSTANCES = 50_000

/** @throws {Problem} dimse/invalid-argument, archive/unreadable */
export function readRequest(dataset: Buffer, transferSyntaxUid: string): CommitmentRequest {
  const item = readDataSet(dataset, transferSyntaxUid)
  const transactionUid = uidOf(item, 'TransactionUID')
  const instances = itemsAt(item, 'ReferencedSOPSequence').map(referenceOf)
  if (instances.length === 0 || instances.length > MAX_INSTANCES) throw new Problem('dimse/invalid-argument', { element: 'ReferencedSOPSequence' })
  return { transactionUid, instances }
}

export function writeRequest({ transactionUid, instances }: CommitmentRequest, transferSyntaxUid: string): Buffer {
  return writeDataSet([anElement('TransactionUID', transactionUid), anElement('ReferencedSOPSequence', instances.map(itemOf))], transferSyntaxUid, 'ISO_IR 192')
}

/** @throws {Problem} dimse/invalid-argument, archive/unreadable */
export function readResult(dataset: Buffer, transferSyntaxUid: string): CommitmentResult {
  const item = readDataSet(dataset, transferSyntaxUid)
  return {
    transactionUid: uidOf(item, 'TransactionUID'),
    committed: itemsAt(item, 'ReferencedSOPSequence').map(referenceOf),
    failed: itemsAt(item, 'FailedSOPSequence').map((each) => ({ ...referenceOf(each), reason: Number(textAt(each, 'FailureReason')) || failureReasons.processingFailure })),
  }
}

/** @param retrieveAeTitle where what is committed can be fetched again. */
export function writeResult({ transactionUid, committed, failed }: CommitmentResult, retrieveAeTitle: string, transferSyntaxUid: string): Buffer {
  const elements = [
    anElement('TransactionUID', transactionUid),
    ...(committed.length > 0 ? [anElement('RetrieveAETitle', retrieveAeTitle), anElement('ReferencedSOPSequence', committed.map(itemOf))] : []),
    ...(failed.length > 0 ? [anElement('FailedSOPSequence', failed.map((each) => [...itemOf(each), anElement('FailureReason', String(each.reason))]))] : []),
  ]
  return writeDataSet(elements, transferSyntaxUid, 'ISO_IR 192')
}

const itemOf = ({ sopClassUid, sopInstanceUid }: InstanceReference): DataItem => [
  anElement('ReferencedSOPClassUID', sopClassUid),
  anElement('ReferencedSOPInstanceUID', sopInstanceUid),
]

function referenceOf(item: DataItem): InstanceReference {
  return { sopClassUid: uidOf(item, 'ReferencedSOPClassUID'), sopInstanceUid: uidOf(item, 'ReferencedSOPInstanceUID') }
}

function uidOf(item: DataItem, keyword: string): string {
  const uid = textAt(item, keyword)
  if (!isUid(uid)) throw new Problem('dimse/invalid-argument', { element: keyword })
  return uid
}
