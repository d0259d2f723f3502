import { type Log } from 'service-kit'
import { Problem } from 'specs'
import { commandFields } from './command-set.ts'
import { type Delivery } from './delivery.ts'
import { readRetrieval, type RetrievedInstance, type RetrieveSource } from './retrieval.ts'
import { type DicomPeer, type ScuOptions, sendInstances } from './scu.ts'
import { type AskablePeer, type Caller, type MessageService, type Reply, type SmallRequest, status } from './services.ts'
import { SubOperations } from './sub-operations.ts'

export interface MoveParts {
  readonly source: RetrieveSource
  /** The registered node of this AE title; undefined: we send to nobody whom we do not know. */
  destinationOf(aeTitle: string, caller: Caller): Promise<DicomPeer | undefined>
  /** Who we are when we send, and how long we wait. */
  readonly sending: ScuOptions
  readonly log: Log
  /** Retrievals at the same time; 8 unless told. */
  readonly maxAtOnce?: number
  /** What of each study went where, when it is over. */
  onMoved?(moved: Moved): void
}

export interface Moved {
  readonly caller: Caller
  readonly destinationAeTitle: string
  readonly studyInstanceUid: string
  readonly sent: number
  readonly failed: number
}

/** Responses while it goes on: not one for each of a thousand small images, yet some while a large one takes its time. */
const BETWEEN_RESPONSES_MS = 100
const SIGN_OF_LIFE_MS = 5_000
/** An instance that is under way when the caller cancels may be finished within this. */
const FINISH_MS = 10_000
/** A destination that aborts at one image gets the next ones on a new association. */
const RECONNECTS = 3

/** C-MOVE as SCP (PS3.4 C.4.2): sends what is named to a registered node by C-STORE, on an association of our own. */
export function moveService(parts: MoveParts): MessageService {
  const { source, destinationOf, log, maxAtOnce = 8 } = parts
  let open = 0

  async function* moved(request: SmallRequest, signal: AbortSignal, peer: AskablePeer): AsyncGenerator<Reply> {
    const { caller, command, transferSyntaxUid } = request
    const asked = readRetrieval(request)
    if ('refused' in asked) return yield { answer: asked.refused }
    const aeTitle = command.moveDestination ?? ''
    const destination = await destinationOf(aeTitle, caller)
    if (!destination) throw new Problem('dimse/unknown-destination', { aeTitle: aeTitle.slice(0, 16) })
    const instances = await source.instancesOf(asked.query, signal)
    const count = new SubOperations(instances.length)
    const stop = new AbortController()
    const onCancel = () => {
      // Whoever has gone wants nothing more; whoever cancels is told the truth about the instance under way.
      if (!peer.isConnected) stop.abort()
      else setTimeout(() => stop.abort(), FINISH_MS).unref()
    }
    signal.addEventListener('abort', onCancel, { once: true })
    let done = false
    let wake: (() => void) | undefined
    const delivered = new Map<string, Delivery['kind']>()
    const sending = sendInstances(destination, instances, {
      ...parts.sending,
      log,
      signal: stop.signal,
      finish: signal,
      reconnects: RECONNECTS,
      moveOriginator: { aeTitle: caller.callingAeTitle, messageId: command.messageId ?? 0 },
      onDelivery: (delivery) => {
        count.add(delivery)
        delivered.set(delivery.sopInstanceUid, delivery.kind)
        if (delivery.kind === 'failed') log.warn({ sopInstanceUid: delivery.sopInstanceUid, code: delivery.problem.code, facts: delivery.problem.facts, destination: aeTitle }, 'instance not moved')
      },
    }).finally(() => {
      done = true
      wake?.()
    })
    sending.catch(() => undefined) // awaited below
    for (let told = 0, since = Date.now(); !done && !signal.aborted; ) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, BETWEEN_RESPONSES_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (done || signal.aborted || (count.done === told && Date.now() - since < SIGN_OF_LIFE_MS)) continue
      told = count.done
      since = Date.now()
      yield count.pending()
    }
    await sending
    signal.removeEventListener('abort', onCancel)
    for (const [studyInstanceUid, ofStudy] of byStudy(instances)) {
      const kinds = ofStudy.map(({ sopInstanceUid }) => delivered.get(sopInstanceUid))
      const times = (kind: Delivery['kind']) => kinds.filter((each) => each === kind).length
      parts.onMoved?.({ caller, destinationAeTitle: aeTitle, studyInstanceUid, sent: times('stored'), failed: times('failed') })
    }
    yield count.final(transferSyntaxUid, { cancelled: signal.aborted })
  }

  return {
    kind: 'move',
    commands: [commandFields.cMove],
    async *answer(request, signal, peer) {
      if (open >= maxAtOnce) return yield { answer: { status: status.unableToPerformSuboperations, errorComment: `${maxAtOnce} retrievals are under way, try later` } }
      open++
      try {
        yield* moved(request, signal, peer)
      } finally {
        open--
      }
    },
  }
}

function byStudy(instances: readonly RetrievedInstance[]): Map<string, RetrievedInstance[]> {
  const studies = new Map<string, RetrievedInstance[]>()
  for (const instance of instances) {
    const known = studies.get(instance.studyInstanceUid)
    if (known) known.push(instance)
    else studies.set(instance.studyInstanceUid, [instance])
  }
  return studies
}
