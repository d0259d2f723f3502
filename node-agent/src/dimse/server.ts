import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls'
import { modernTls, type Log, type Metrics } from 'service-kit'
import { type AeTitle, Problem } from 'specs'
import { AssociationSlots } from './association-slots.ts'
import { createFigures } from './figures.ts'
import { type AnswerCharset } from './identifier.ts'
import { defaultLimits, type DimseLimits } from './limits.ts'
import { Listener } from './listener.ts'
import { plainAddress } from './remote-address.ts'
import { type AssociationHost, ServedAssociation } from './served-association.ts'
import { type CallerTerms, type MessageService, type QuerySource, type StorageSink } from './services.ts'

export type { Caller, CallerTerms, MessageService, Query, QueryLevel, QuerySource, StorageSink, ObjectWriter, OfferedObject } from './services.ts'
export type { DimseLimits } from './limits.ts'

/** PEM texts. With `ca`, callers must show a certificate that it issued. */
export interface DimseTls {
  readonly key: string
  readonly cert: string
  readonly ca?: string
}

/** What an administrator may change while the service runs; an association keeps to what held when it began. */
export interface DimseBehaviour {
  readonly limits?: Partial<DimseLimits>
  /** Whether the called AE title must be ours; off by default, since many devices send what they like. */
  readonly checkCalledAe?: boolean
  /** Further titles of ours, for that check. */
  readonly otherAeTitles?: readonly string[]
  /** Vendors' own and newer storage classes; accepted by default. */
  readonly privateSopClasses?: 'accept' | 'refuse'
  /** Classes of any kind that are not accepted although we could. */
  readonly refusedSopClasses?: readonly string[]
  /** Character set of query answers. */
  readonly charset?: AnswerCharset
}

export interface DimseServerOptions extends DimseBehaviour {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly aeTitle: AeTitle
  /** Name of the setting that an administrator would change when the port is taken. */
  readonly setting?: string
  readonly tls?: DimseTls
  /** Asked for every connection; what it names counts before the same member of these options. */
  readonly behaviour?: () => DimseBehaviour
  /** Counted over several ports together; of this port alone unless given. */
  readonly slots?: AssociationSlots
  /** Asked for every association, so that a change of the list works at once (ARC-05). Answer true always to switch the check off. */
  isAllowed(callingAeTitle: string, remoteAddress: string, calledAeTitle: string): Promise<boolean | CallerTerms>
  /** Beyond echo, storage and query. */
  readonly services?: readonly MessageService[]
  readonly storage: StorageSink
  readonly query: QuerySource
  readonly log: Log
  readonly metrics: Metrics
  /** Rejected associations, refused objects, protocol faults: for the list where people see refusals. */
  onRefusal(refusal: DimseRefusal): void
  onAccepted?(peer: Omit<DimseRefusal, 'problem'>): void
  /** The port was lost to something else, and listens again. */
  onListening?(state: 'lost' | 'back'): void
}

export interface DimseRefusal {
  /** As sent, perhaps ''. */
  readonly callingAeTitle: string
  readonly remoteAddress: string
  readonly problem: Problem
}

export interface DimseServer {
  readonly port: number
  readonly openAssociations: number
  /** A renewed certificate, for connections from now on. Only of a service that began with one. */
  useCertificate(tls: DimseTls): void
  /**
   * Takes no new connection, ends those there are, and waits until what is being committed is committed.
   * @param options.drainMs how long open associations may go on to their release before they are aborted; 0 unless told.
   */
  close(options?: { readonly drainMs?: number }): Promise<void>
}

/**
 * Starts the DICOM service: C-ECHO, C-STORE and C-FIND as SCP, and the services given.
 * @throws {Error} when the port cannot be listened on; names host and port.
 */
export async function startDimseServer(options: DimseServerOptions): Promise<DimseServer> {
  const figures = createFigures(options.metrics)
  const slots = options.slots ?? new AssociationSlots(figures)
  const services = options.services ?? []
  const moreServices = new Set(services.map(({ kind }) => kind))
  const connections = new Map<Socket, ServedAssociation>()
  let tls = options.tls

  /** As things stand now. */
  function hostNow(): AssociationHost {
    const now = { ...options, ...options.behaviour?.() }
    const limits = { ...defaultLimits, ...now.limits }
    return {
      limits,
      policy: {
        aeTitle: options.aeTitle,
        otherAeTitles: now.otherAeTitles ?? [],
        checkCalledAe: now.checkCalledAe ?? false,
        maxPduBytes: limits.maxPduBytes,
        minPeerPduBytes: limits.minPeerPduBytes,
        privateSopClasses: now.privateSopClasses ?? 'accept',
        refusedSopClasses: now.refusedSopClasses ?? [],
        moreServices,
      },
      charset: now.charset ?? 'ISO_IR 192',
      storage: options.storage,
      query: options.query,
      services,
      log: options.log,
      figures,
      admit: async (calling, remoteAddress, called) => {
        const allowed = await options.isAllowed(calling, remoteAddress, called)
        return allowed === true ? {} : allowed || undefined
      },
      takeSlot: (callingAeTitle, ofCaller) => slots.take(callingAeTitle, { all: limits.maxAssociations, ofCaller }),
      accepted: (callingAeTitle, remoteAddress) => options.onAccepted?.({ callingAeTitle, remoteAddress }),
      refused,
    }
  }

  function refused(callingAeTitle: string, remoteAddress: string, problem: Problem): void {
    figures.refusals.inc({ code: problem.code })
    options.log.warn({ callingAeTitle, remoteAddress, code: problem.code, facts: problem.facts, err: problem.cause }, 'refused a DICOM peer')
    options.onRefusal({ callingAeTitle, remoteAddress, problem })
  }

  function serve(socket: Socket): void {
    const association = new ServedAssociation(socket, hostNow())
    connections.set(socket, association)
    // Whoever has gone may have left something to finish: close() waits for that too.
    socket.once('close', () => void association.settled().then(() => connections.delete(socket)))
    association.begin()
  }

  function makeServer(): Server {
    const { maxConnections, artimMs } = hostNow().limits
    const server = tls ? tlsServer(tls, artimMs, serve, refused) : createServer(serve)
    server.maxConnections = maxConnections
    server.on('drop', (drop) => refused('', plainAddress(drop?.remoteAddress), new Problem('request/too-many', { connections: server.maxConnections })))
    return server
  }

  const { host, port: wanted, setting, log, onListening } = options
  const listener = await Listener.start(makeServer, { host, port: wanted, setting, log, ...(onListening && { onState: (state) => onListening(state) }) })
  log.info({ host, port: listener.port, aeTitle: options.aeTitle, tls: tls !== undefined }, 'DICOM service listens')

  return {
    port: listener.port,
    get openAssociations() {
      return slots.open
    },
    useCertificate(renewed) {
      tls = renewed
      const { key, cert, ca } = renewed
      if (listener.server instanceof TlsServer) listener.server.setSecureContext({ ...modernTls, key, cert, ...(ca !== undefined && { ca }) })
    },
    async close({ drainMs = 0 } = {}) {
      const closed = listener.close()
      await ended(connections.keys(), drainMs)
      const ending = [...connections]
      for (const [, association] of ending) association.abort(new Problem('service/unavailable', { reason: 'the service stops' }))
      await Promise.all(ending.map(([, association]) => association.settled()))
      for (const [socket] of connections) socket.destroy()
      await closed
    },
  }
}

/** Resolves when every socket has closed, at the latest after `withinMs`. */
async function ended(sockets: Iterable<Socket>, withinMs: number): Promise<void> {
  const closing = [...sockets].filter((socket) => !socket.closed).map((socket) => new Promise<void>((resolve) => void socket.once('close', () => resolve())))
  if (closing.length === 0 || withinMs === 0) return
  const late = new AbortController()
  await Promise.race([Promise.all(closing), delay(withinMs, undefined, { signal: late.signal }).catch(() => undefined)])
  late.abort()
}

function tlsServer({ key, cert, ca }: DimseTls, handshakeTimeout: number, serve: (socket: Socket) => void, refused: AssociationHost['refused']): Server {
  const server = createTlsServer({ ...modernTls, key, cert, ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }), handshakeTimeout }, serve)
  server.on('tlsClientError', (error, socket) => {
    refused('', plainAddress(socket.remoteAddress), new Problem('dimse/protocol', { fault: 'TLS handshake failed', reason: 'code' in error ? error.code : error.name }))
    socket.destroy()
  })
  return server
}
