import { AeTitle, Problem } from 'specs'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, isKnownTransferSyntax } from '../dicom/transfer-syntax.ts'
import {
  type AnsweredContext,
  type AssociateAccept,
  type AssociateRequest,
  contextResults,
  DICOM_APPLICATION_CONTEXT,
  type ProposedContext,
} from './associate-pdu.ts'
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { encodeExtended, type ExtendedBehaviour, readExtended } from './extended-negotiation.ts'
import { type AssociateReject, rejections, rejectionText } from './pdu.ts'
import { sopClassKind, type SopClassKind, type StoragePolicy } from './sop-classes.ts'

export interface NegotiationPolicy extends StoragePolicy {
  readonly aeTitle: string
  /** Further titles of ours on the same port. */
  readonly otherAeTitles?: readonly string[]
  /** Whether a caller must name us correctly. */
  readonly checkCalledAe: boolean
  readonly maxPduBytes: number
  readonly minPeerPduBytes: number
}

/** What the server found out before the decision. */
export interface Circumstances {
  readonly callerAllowed: boolean
  readonly slotFree: boolean
  /** Of this caller; the order in which we choose. */
  readonly preferredSyntaxes?: readonly string[] | undefined
}

export interface AcceptedContext {
  readonly id: number
  readonly abstractSyntaxUid: string
  readonly kind: SopClassKind
  readonly transferSyntaxUid: string
  /** By role selection: the peer takes what we send in this context (C-GET), or reports events to us (storage commitment). */
  readonly peerIsScp?: boolean
  /** Of a query or retrieval, where the peer asked for it. */
  readonly extended?: ExtendedBehaviour
}

export type Negotiation =
  | {
      readonly kind: 'accepted'
      readonly answer: AssociateAccept
      readonly contexts: ReadonlyMap<number, AcceptedContext>
      readonly peerMaxPduBytes: number
    }
  | { readonly kind: 'rejected'; readonly answer: AssociateReject; readonly problem: Problem }

/** What identifiers of queries may be encoded in; answers use the same. */
export const querySyntaxUids: readonly string[] = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]

/** The valid AE title, or undefined: such a caller cannot be registered with us. */
export function callingAeTitle(request: AssociateRequest): AeTitle | undefined {
  const parsed = AeTitle.safeParse(request.callingAeTitle)
  return parsed.success ? parsed.data : undefined
}

/** Accepts or rejects an association and each presentation context in it (PS3.8 9.3.3, 9.3.4). */
export function decideAssociation(
  request: AssociateRequest,
  policy: NegotiationPolicy,
  { callerAllowed, slotFree, preferredSyntaxes = [] }: Circumstances,
): Negotiation {
  if ((request.protocolVersion & 1) === 0) return rejected('dimse/protocol', rejections.protocolVersionNotSupported)
  if (request.applicationContext !== DICOM_APPLICATION_CONTEXT) return rejected('dimse/protocol', rejections.applicationContextNotSupported)
  if (policy.checkCalledAe && request.calledAeTitle !== policy.aeTitle && !policy.otherAeTitles?.includes(request.calledAeTitle))
    return rejected('dimse/unknown-ae', rejections.calledAeNotRecognised, { called: request.calledAeTitle })
  if (!callerAllowed) return rejected('dimse/unknown-ae', rejections.callingAeNotRecognised)
  const offered = request.user.maxLengthBytes
  if (offered !== 0 && offered < policy.minPeerPduBytes)
    return rejected('dimse/protocol', rejections.noReason, { fault: 'maximum PDU length too small', maxPduBytes: offered })
  if (!slotFree) return rejected('request/too-many', rejections.localLimitExceeded)
  const contexts = new Map<number, AcceptedContext>()
  const answers = request.contexts.map((proposed) => answerContext(proposed, policy, preferredSyntaxes, contexts))
  for (const context of contexts.values()) contexts.set(context.id, { ...context, ...agreedBeyond(context, request, policy) })
  // Our largest own messages are query answers; the cap keeps a peer without limit from making us build one huge PDU.
  const peerMaxPduBytes = Math.min(offered === 0 ? policy.maxPduBytes : offered, policy.maxPduBytes)
  return { kind: 'accepted', answer: acceptance(request, answers, contexts, policy), contexts, peerMaxPduBytes }
}

function rejected(
  code: 'dimse/protocol' | 'dimse/unknown-ae' | 'request/too-many',
  reject: (typeof rejections)[keyof typeof rejections],
  facts: Record<string, unknown> = {},
): Negotiation {
  return {
    kind: 'rejected',
    answer: { type: 'A-ASSOCIATE-RJ', ...reject },
    problem: new Problem(code, { answer: rejectionText(reject), ...facts }),
  }
}

function answerContext(proposed: ProposedContext, policy: StoragePolicy, preferred: readonly string[], accepted: Map<number, AcceptedContext>): AnsweredContext {
  const { id, abstractSyntaxUid } = proposed
  const kind = sopClassKind(abstractSyntaxUid, policy)
  // A rejected context names a syntax that is not significant; the first proposed is what most peers expect there.
  const insignificant = proposed.transferSyntaxUids[0] ?? IMPLICIT_LE
  if (kind === undefined) return { id, result: contextResults.abstractSyntaxNotSupported, transferSyntaxUid: insignificant }
  const allowed = kind === 'storage' || kind === 'private' ? isKnownTransferSyntax : (uid: string) => querySyntaxUids.includes(uid)
  // Senders put what they hold first, and we keep what is sent: the order is theirs, unless the hospital wants another of this device.
  const wanted = kind === 'storage' ? preferred.filter((uid) => proposed.transferSyntaxUids.includes(uid)) : []
  const transferSyntaxUid = [...wanted, ...proposed.transferSyntaxUids].find(allowed)
  if (transferSyntaxUid === undefined) return { id, result: contextResults.transferSyntaxesNotSupported, transferSyntaxUid: insignificant }
  accepted.set(id, { id, abstractSyntaxUid, kind, transferSyntaxUid })
  return { id, result: contextResults.accepted, transferSyntaxUid }
}

/** The roles and the behaviour that the peer asked for and that we have. */
function agreedBeyond({ kind, abstractSyntaxUid }: AcceptedContext, { user }: AssociateRequest, { moreServices }: StoragePolicy): Pick<AcceptedContext, 'peerIsScp' | 'extended'> {
  const asksToBeScp = user.roles.some(({ sopClassUid, scp }) => scp && sopClassUid === abstractSyntaxUid)
  const service = kind === 'storage' || kind === 'private' ? 'get' : kind === 'commitment' ? kind : undefined
  const peerIsScp = asksToBeScp && service !== undefined && moreServices?.has(service) === true
  const asked = user.extendedNegotiation.find(({ sopClassUid }) => sopClassUid === abstractSyntaxUid)
  const isExtensible = kind === 'query' || kind === 'move' || kind === 'get'
  return { ...(peerIsScp && { peerIsScp }), ...(asked && isExtensible && { extended: readExtended(asked.information) }) }
}

function acceptance(
  request: AssociateRequest,
  contexts: readonly AnsweredContext[],
  accepted: ReadonlyMap<number, AcceptedContext>,
  policy: NegotiationPolicy,
): AssociateAccept {
  const classes = new Map([...accepted.values()].map((context) => [context.abstractSyntaxUid, context]))
  return {
    type: 'A-ASSOCIATE-AC',
    protocolVersion: 1,
    calledAeTitle: request.calledAeTitle,
    callingAeTitle: request.callingAeTitle,
    applicationContext: DICOM_APPLICATION_CONTEXT,
    contexts,
    user: {
      maxLengthBytes: policy.maxPduBytes,
      implementationClassUid: IMPLEMENTATION_CLASS_UID,
      implementationVersionName: IMPLEMENTATION_VERSION_NAME,
      // Leaving the asynchronous operations window out means one operation at a time (PS3.7 D.3.3.3).
      roles: request.user.roles.filter((role) => classes.has(role.sopClassUid)).map((role) => ({ ...role, scp: classes.get(role.sopClassUid)?.peerIsScp === true })),
      extendedNegotiation: [...classes.values()].flatMap(({ abstractSyntaxUid, kind, extended }) =>
        extended ? [{ sopClassUid: abstractSyntaxUid, information: kind === 'query' ? encodeExtended(extended) : encodeExtended(extended).subarray(0, 1) }] : [],
      ),
    },
  }
}
