import { isProblem, Problem } from 'specs'
import { EXPLICIT_LE, IMPLICIT_LE, transferSyntaxUids } from '../dicom/transfer-syntax.ts'
import { type ProposedContext } from './associate-pdu.ts'
import { protocolFault } from './byte-reader.ts'
import { ReceivingObject } from './c-store.ts'
import { type CommandSet, commandFields } from './command-set.ts'
import { type DicomPeer, type Offer, type OpenContext, type PeerRequest } from './requested-association.ts'
import { responseTo, type StorageSink } from './services.ts'
import { storageSopClasses } from './sop-classes.ts'
import { type RoleSelection } from './user-information.ts'

/** What a peer stores to us on our own association, while it answers a C-GET. */
export class IncomingStores {
  readonly stored: string[] = []
  readonly refused: { readonly sopInstanceUid: string; readonly problem: Problem }[] = []
  readonly #sender: { readonly callingAeTitle: string; readonly remoteAddress: string }
  readonly #storage: StorageSink

  constructor(peer: DicomPeer, storage: StorageSink) {
    this.#sender = { callingAeTitle: peer.aeTitle, remoteAddress: peer.host }
    this.#storage = storage
  }

  begin(context: OpenContext, command: CommandSet): PeerRequest {
    if (command.commandField !== commandFields.cStore) throw protocolFault('a requestor is not asked', { commandField: command.commandField })
    const receiving = new ReceivingObject(command, { ...context, kind: 'storage' }, this.#sender, this.#storage)
    return {
      take: (data) => receiving.take(data),
      complete: async () => {
        const { answer, failure } = await receiving.commit()
        if (failure === undefined) this.stored.push(receiving.sopInstanceUid)
        else this.refused.push({ sopInstanceUid: receiving.sopInstanceUid, problem: isProblem(failure) ? failure : new Problem('archive/failed', {}, { cause: failure }) })
        return responseTo(command, answer)
      },
      abandon: () => void receiving.abandon(),
    }
  }
}

/** IDs 3 to 255: 1 is the question itself. */
const MAX_CONTEXTS = 127
const uncompressed = [EXPLICIT_LE, IMPLICIT_LE]
const compressed = transferSyntaxUids.filter((uid) => !uncompressed.includes(uid))

/** What is proposed for a C-GET: every class as SCP; each syntax in a context of its own where that fits, so that the peer need not change what it holds. */
export function storageContexts(peer: DicomPeer, storage: StorageSink, sopClassUids: readonly string[] = usualClasses) {
  const classes = [...new Set(sopClassUids)].slice(0, MAX_CONTEXTS)
  const each = Math.floor(MAX_CONTEXTS / Math.max(1, classes.length))
  const groups = groupsOfSyntaxes(each)
  const contexts: ProposedContext[] = classes
    .flatMap((abstractSyntaxUid) => groups.map((group) => ({ abstractSyntaxUid, transferSyntaxUids: group })))
    .map((context, index) => ({ id: index * 2 + 3, ...context }))
  const roles: RoleSelection[] = classes.map((sopClassUid) => ({ sopClassUid, scu: false, scp: true }))
  return { contexts, roles, stores: new IncomingStores(peer, storage) } satisfies { contexts: readonly ProposedContext[]; roles: NonNullable<Offer['roles']>; stores: IncomingStores }
}

function groupsOfSyntaxes(most: number): readonly (readonly string[])[] {
  if (most >= compressed.length + 1) return [uncompressed, ...compressed.map((uid) => [uid])]
  return most >= 2 ? [uncompressed, compressed] : [[...uncompressed, ...compressed]]
}

/** What a hospital's archive holds, but for the retired and the rare. */
const usualClasses: readonly string[] = storageSopClasses
  .filter(({ retired, uid }) => !retired && !uid.startsWith('1.2.840.10008.5.1.4.1.1.481.'))
  .map(({ uid }) => uid)

