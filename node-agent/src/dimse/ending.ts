import { Problem } from 'specs'
import { protocolFault } from './byte-reader.ts'
import { type Abort, type AssociateReject, abortReasons, abortSources, type Pdu, rejectionText } from './pdu.ts'

/** How an association came to its end: `aborted` by us, `aborted by peer`, or `lost` with its connection. */
export type Ending =
  { readonly how: 'released' } | { readonly how: 'rejected' | 'aborted' | 'aborted by peer' | 'lost'; readonly problem: Problem }

/** What we say when the service provider, that is this layer, gives an association up (PS3.8 Table 9-26). */
export function providerAbort(problem: Problem | undefined): Abort {
  const fault = problem?.facts['fault']
  if (problem === undefined) return { type: 'A-ABORT', source: abortSources.serviceProvider, reason: abortReasons.unexpectedPdu }
  const reason =
    fault === 'unrecognised PDU type'
      ? abortReasons.unrecognizedPdu
      : problem.code === 'dimse/protocol'
        ? abortReasons.invalidParameter
        : abortReasons.notSpecified
  return { type: 'A-ABORT', source: abortSources.serviceProvider, reason }
}

export function rejectedWith(reject: AssociateReject): Problem {
  const { result, source, reason } = reject
  return new Problem('dimse/rejected', { result, source, reason, answer: rejectionText(reject) })
}

export function unexpectedPdu(pdu: Pdu | undefined): Problem {
  return protocolFault('unexpected PDU', { pdu: pdu?.type ?? 'P-DATA-TF' })
}

export function abortedByPeer(pdu: Pdu | undefined): Problem {
  return new Problem('dimse/aborted', pdu?.type === 'A-ABORT' ? { source: pdu.source, reason: pdu.reason } : {})
}

export function lostConnection(cause: Error | undefined): Problem {
  return new Problem('dimse/lost', cause ? { reason: 'code' in cause ? cause.code : cause.name } : {}, cause && { cause })
}
