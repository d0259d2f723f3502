import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls'
import { modernTls, type Log, type Metrics } from 'service-kit'
import { type AeTitle, Problem } from 'specs'
import { createFigures } from './figures.ts'
import { type AnswerCharset } from './identifier.ts'
import { defaultLimits, type DimseLimits } from './limits.ts'
import { plainAddress } from './remote-address.ts'
import { type AssociationHost, ServedAssociation } from './served-association.ts'
import { type QuerySource, type StorageSink } from './services.ts'

export type { Query, QueryLevel, QuerySource, StorageSink, ObjectWriter, OfferedObject } from './services.ts'
export type { DimseLimits } from './limits.ts'

/** PEM texts. With `ca`, callers must show a certificate that it issued. */
export interface DimseTls {
  readonly key: string
  readonly cert: string
  readonly ca?: string
}

export interface DimseServerOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly aeTitle: AeTitle
  /** Name of the setting that an administrator would change when the port is taken. */
  readonly setting?: string
  readonly tls?: DimseTls
  readonly limits?: Partial<DimseLimits>
  /** Whether the called AE title must be ours; off by default, since many devices send what they like. */
  readonly checkCalledAe?: boolean
  /** Vendors' own and newer storage classes; accepted by default. */
  readonly privateSopClasses?: 'accept' | 'refuse'
  /** Character set of query answers. */
  readonly charset?: AnswerCharset
  /** Asked for every association, so that a change of the list works at once (ARC-05). Answer true always to switch the check off. */
  isAllowed(callingAeTitle: string, remoteAddress: string): Promise<boolean>
  readonly storage: StorageSink
  readonly query: QuerySource
  readonly log: Log
  readonly metrics: Metrics
  /** Rejected associations, refused objects, protocol faults: for the list where people see refusals. */
  onRefusal(refusal: DimseRefusal): void
  onAccepted?(peer: Omit<DimseRefusal, 'problem'>): void
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
 * Starts the DICOM service: C-ECHO, C-STORE and C-FIND as SCP.
 * @throws {Error} when the port cannot be listened on; names host and port.
 */
export async function startDimseServer(options: DimseServerOptions): Promise<DimseServer> {
  const limits = { ...defaultLimits, ...options.limits }
  const figures = createFigures(options.metrics)
  const connections = new Map<Socket, ServedAssociation>()
  let open = 0

  const host: AssociationHost = {
    limits,
    policy: {
      aeTitle: options.aeTitle,
      checkCalledAe: options.checkCalledAe ?? false,
      maxPduBytes: limits.maxPduBytes,
      minPeerPduBytes: limits.minPeerPduBytes,
      privateSopClasses: options.privateSopClasses ?? 'accept',
    },
    charset: options.charset ?? 'ISO_IR 192',
    storage: options.storage,
    query: options.query,
    log: options.log,
    figures,
    isAllowed: options.isAllowed,
    takeSlot: () => {
      if (open >= limits.maxAssociations) return undefined
      figures.open.set(++open)
      return () => figures.open.set(--open)
    },
    accepted: (callingAeTitle, remoteAddress) => options.onAccepted?.({ callingAeTitle, remoteAddress }),
    refused: (callingAeTitle, remoteAddress, problem) => {
      figures.refusals.inc({ code: problem.code })
      options.log.warn(
        { callingAeTitle, remoteAddress, code: problem.code, facts: problem.facts, err: problem.cause },
        'refused a DICOM peer',
      )
      options.onRefusal({ callingAeTitle, remoteAddress, problem })
    },
  }

  const serve = (socket: Socket) => {
    const association = new ServedAssociation(socket, host)
    connections.set(socket, association)
    // Whoever has gone may have left something to finish: close() waits for that too.
    socket.once('close', () => void association.settled().then(() => connections.delete(socket)))
    association.begin()
  }
  const server = options.tls ? tlsServer(options.tls, limits, serve, host) : createServer(serve)
  server.maxConnections = limits.maxConnections
  server.on('drop', (drop) =>
    host.refused('', plainAddress(drop?.remoteAddress), new Problem('request/too-many', { connections: limits.maxConnections })),
  )
  await listen(server, options)
  // Out of file descriptors, for instance: one connection could not be taken, the next may be.
  server.on('error', (error) => options.log.error({ err: error }, 'a DICOM connection could not be taken'))
  const { port } = server.address() as AddressInfo
  options.log.info({ host: options.host, port, aeTitle: options.aeTitle, tls: options.tls !== undefined }, 'DICOM service listens')

  return {
    port,
    get openAssociations() {
      return open
    },
    useCertificate({ key, cert, ca }) {
      if (server instanceof TlsServer) server.setSecureContext({ ...modernTls, key, cert, ...(ca !== undefined && { ca }) })
    },
    async close({ drainMs = 0 } = {}) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
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

function tlsServer({ key, cert, ca }: DimseTls, limits: DimseLimits, serve: (socket: Socket) => void, host: AssociationHost): Server {
  const server = createTlsServer(
    {
      ...modernTls,
      key,
      cert,
      ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }),
      handshakeTimeout: limits.artimMs,
    },
    serve,
  )
  server.on('tlsClientError', (error, socket) => {
    host.refused(
      '',
      plainAddress(socket.remoteAddress),
      new Problem('dimse/protocol', { fault: 'TLS handshake failed', reason: 'code' in error ? error.code : error.name }),
    )
    socket.destroy()
  })
  return server
}

function listen(server: Server, { host, port, setting = 'dimse.port' }: { host: string; port: number; setting?: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const reason = 'code' in error ? String(error.code) : error.message
      const told = `DICOM 端口 ${host}:${port} 无法使用（${reason}），请修改配置 ${setting} / DICOM port ${host}:${port} cannot be used (${reason}), change the setting ${setting}`
      reject(new Error(told, { cause: error }))
    }
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
}
