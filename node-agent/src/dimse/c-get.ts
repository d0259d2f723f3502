import { type Buffer } from 'node:buffer'
import { type Log } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { commandFields } from './command-set.ts'
import { decideDelivery, type Delivery } from './delivery.ts'
import { type AcceptedContext } from './negotiation.ts'
import { readRetrieval, type RetrieveSource } from './retrieval.ts'
import { type InstanceToSend, storeCommand } from './scu.ts'
import { type AskablePeer, type MessageService } from './services.ts'
import { SubOperations } from './sub-operations.ts'

export interface GetParts {
  readonly source: RetrieveSource
  readonly log: Log
  /** Of the syntaxes a peer takes for a class, the one an instance goes in; undefined: in none. */
  readonly chooseSyntax: (storedUid: string, acceptable: readonly string[]) => string | undefined
}

const BETWEEN_RESPONSES_MS = 100

/** C-GET as SCP (PS3.4 C.4.3): sends what is named by C-STORE on the caller's own association, in contexts where it took the SCP role. */
export function getService({ source, log, chooseSyntax }: GetParts): MessageService {
  async function sent(peer: AskablePeer, instance: InstanceToSend): Promise<Delivery> {
    const { sopInstanceUid } = instance
    const failed = (problem: Problem): Delivery => ({ kind: 'failed', sopInstanceUid, again: 'permanent', problem })
    const context = contextFor(instance, peer.contexts, chooseSyntax)
    if (!context) return failed(new Problem('dimse/not-accepted', { sopClassUid: instance.sopClassUid, transferSyntaxUid: instance.transferSyntaxUid }))
    let dataset: AsyncIterable<Buffer>
    try {
      dataset = context.transferSyntaxUid === instance.transferSyntaxUid || !instance.openAs ? await instance.open() : await instance.openAs(context.transferSyntaxUid)
    } catch (error) {
      return failed(isProblem(error) ? error : new Problem('archive/failed', { reason: 'the stored file could not be read' }, { cause: error }))
    }
    return decideDelivery(sopInstanceUid, await peer.request(context.id, storeCommand(instance), dataset))
  }

  return {
    kind: 'get',
    commands: [commandFields.cGet],
    async *answer(request, signal, peer) {
      const asked = readRetrieval(request)
      if ('refused' in asked) return yield { answer: asked.refused }
      const instances = await source.instancesOf(asked.query, signal)
      const count = new SubOperations(instances.length)
      let since = 0
      for (const instance of instances) {
        if (signal.aborted) break
        const delivery = await sent(peer, instance)
        count.add(delivery)
        if (delivery.kind === 'failed') log.warn({ sopInstanceUid: instance.sopInstanceUid, code: delivery.problem.code, facts: delivery.problem.facts }, 'instance not given by C-GET')
        if (signal.aborted || count.done === instances.length || Date.now() - since < BETWEEN_RESPONSES_MS) continue
        since = Date.now()
        yield count.pending()
      }
      yield count.final(request.transferSyntaxUid, { cancelled: signal.aborted })
    },
  }
}

/** The context of this class in the stored syntax, otherwise one in a syntax that the instance can be changed to without loss. */
function contextFor(instance: InstanceToSend, contexts: readonly AcceptedContext[], chooseSyntax: GetParts['chooseSyntax']): AcceptedContext | undefined {
  const ofClass = contexts.filter(({ abstractSyntaxUid }) => abstractSyntaxUid === instance.sopClassUid)
  const acceptable = ofClass.map(({ transferSyntaxUid }) => transferSyntaxUid)
  const chosen = acceptable.includes(instance.transferSyntaxUid) ? instance.transferSyntaxUid : instance.openAs && chooseSyntax(instance.transferSyntaxUid, acceptable)
  return ofClass.find(({ transferSyntaxUid }) => transferSyntaxUid === chosen)
}
