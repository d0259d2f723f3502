import { setTimeout as delay } from 'node:timers/promises'
import { type Buffer } from 'node:buffer'
import { isProblem, Problem } from 'specs'
import { EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { type ProposedContext } from '../dimse/associate-pdu.ts'
import { type CommandSet, commandFields, DATASET_FOLLOWS } from '../dimse/command-set.ts'
import { IncomingIdentifier } from '../dimse/c-find.ts'
import { type DicomPeer, defaultScuSettings, type OpenContext, type PeerRequest, RequestedAssociation } from '../dimse/requested-association.ts'
import { protocolFault } from '../dimse/byte-reader.ts'
import { type ScuOptions } from '../dimse/scu.ts'
import { responseTo, status } from '../dimse/services.ts'
import { STORAGE_COMMITMENT } from '../dimse/sop-classes.ts'
import { COMMITMENT_INSTANCE, type CommitmentRequest, type CommitmentResult, eventTypes, readResult, REQUEST_COMMITMENT, writeRequest, writeResult } from './transaction.ts'

const context: ProposedContext = { id: 1, abstractSyntaxUid: STORAGE_COMMITMENT, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }
export const MAX_TRANSACTION_BYTES = 16 * 1024 * 1024

/** N-EVENT-REPORT-RQ with the result of a transaction. */
export function eventReport({ failed }: CommitmentResult): CommandSet {
  return {
    commandField: commandFields.nEventReport,
    affectedSopClassUid: STORAGE_COMMITMENT,
    affectedSopInstanceUid: COMMITMENT_INSTANCE,
    eventTypeId: failed.length > 0 ? eventTypes.failuresExist : eventTypes.successful,
    commandDataSetType: DATASET_FOLLOWS,
  }
}

/**
 * Tells a peer, on an association that we open with the roles reversed (PS3.4 J.3.3: the SCP stays SCP).
 * @throws {Problem} dimse/…, dimse/failed-at-peer with the status it answered
 */
export async function reportCommitment(peer: DicomPeer, result: CommitmentResult, retrieveAeTitle: string, options: ScuOptions): Promise<void> {
  const association = await open(peer, options, { scu: false, scp: true })
  const { id, transferSyntaxUid } = acceptedOf(association)
  try {
    expectSuccess(await association.request(id, eventReport(result), [writeResult(result, retrieveAeTitle, transferSyntaxUid)]))
  } finally {
    await association.release()
  }
}

/**
 * Asks a peer to commit itself. Its answer may come on this association, within `waitMs`, or later on one that the peer opens to us.
 * @returns the result, if it has come already. @throws {Problem} dimse/…, dimse/failed-at-peer
 */
export async function askForCommitment(
  peer: DicomPeer,
  request: CommitmentRequest,
  { waitMs = 5_000, ...options }: ScuOptions & { readonly waitMs?: number },
): Promise<CommitmentResult | undefined> {
  let told: (result: CommitmentResult) => void = () => undefined
  const result = new Promise<CommitmentResult>((resolve) => {
    told = resolve
  })
  const association = await open(peer, options, { scu: true, scp: false }, (opened, command) => takeReport(opened, command, told))
  const { id, transferSyntaxUid } = acceptedOf(association)
  const late = new AbortController()
  try {
    const command: CommandSet = {
      commandField: commandFields.nAction,
      requestedSopClassUid: STORAGE_COMMITMENT,
      requestedSopInstanceUid: COMMITMENT_INSTANCE,
      actionTypeId: REQUEST_COMMITMENT,
      commandDataSetType: DATASET_FOLLOWS,
    }
    expectSuccess(await association.request(id, command, [writeRequest(request, transferSyntaxUid)]))
    return await Promise.race([result, delay(waitMs, undefined, { signal: late.signal }).catch(() => undefined)])
  } finally {
    late.abort()
    await association.release()
  }
}

async function open(peer: DicomPeer, options: ScuOptions, role: { scu: boolean; scp: boolean }, onRequest?: (opened: OpenContext, command: CommandSet) => PeerRequest): Promise<RequestedAssociation> {
  const offer = { roles: [{ sopClassUid: STORAGE_COMMITMENT, ...role }], ...(onRequest && { onRequest }) }
  const association = await RequestedAssociation.open(peer, [context], { ...defaultScuSettings, ...options }, offer)
  const accepted = association.contextFor(context)
  if (!isProblem(accepted)) return association
  await association.release()
  throw accepted
}

function acceptedOf(association: RequestedAssociation) {
  const accepted = association.contextFor(context)
  if (isProblem(accepted)) throw accepted
  return accepted
}

function takeReport({ transferSyntaxUid }: OpenContext, command: CommandSet, told: (result: CommitmentResult) => void): PeerRequest {
  if (command.commandField !== commandFields.nEventReport) throw protocolFault('a requestor is not asked', { commandField: command.commandField })
  const dataset = new IncomingIdentifier(MAX_TRANSACTION_BYTES)
  let result: CommitmentResult | undefined
  return {
    take: (data: Buffer) => void dataset.take(data),
    complete: async () => {
      result = readResult(dataset.whole(), transferSyntaxUid)
      return responseTo(command, { status: status.success })
    },
    answered: () => result && told(result),
    abandon: () => undefined,
  }
}

function expectSuccess(command: CommandSet): void {
  if (command.status !== status.success) throw new Problem('dimse/failed-at-peer', { status: command.status?.toString(16).padStart(4, '0') ?? 'none' })
}
