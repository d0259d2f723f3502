import type { Database, Log } from 'service-kit'
import type { AeTitle } from 'specs'
import type { DimseServer, DimseServerOptions } from '../dimse/server.ts'
import { listReceivingNodes, type OwnReceivingNode } from './receiving-store.ts'

/** Another process of the same node (PostgreSQL) opens and closes ports this long after the change at the latest. */
const LOOK_MS = 1_000
const CLOSE_DRAIN_MS = 5_000

export interface DicomPortsParts {
  readonly db: Database
  readonly log: Log
  readonly host: string
  /** Starts a service; rejects with an Error for the administrator when the port cannot be had. */
  readonly start: (options: Pick<DimseServerOptions, 'host' | 'port' | 'aeTitle' | 'isAllowed'>) => Promise<DimseServer>
  /** Who may call the receiving node, and on which terms. */
  readonly admit: (node: OwnReceivingNode, callingAeTitle: string) => Promise<Awaited<ReturnType<DimseServerOptions['isAllowed']>>>
  readonly lookMs?: number
}

interface OpenPort {
  readonly aeTitle: AeTitle
  readonly server: DimseServer
}

/**
 * 接收节点 as they stand in the database, and the ports that some of them have for themselves: opened and closed while the node runs. A
 * port that cannot be had is shown with the reason and tried again; nothing else suffers from it.
 */
export class DicomPorts {
  readonly #parts: DicomPortsParts
  readonly #open = new Map<string, OpenPort>()
  readonly #problems = new Map<string, string>()
  #nodes: readonly OwnReceivingNode[] = []
  #looking: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: DicomPortsParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    await this.look()
    this.#timer = setInterval(() => void this.look(), this.#parts.lookMs ?? LOOK_MS)
    this.#timer.unref()
  }

  get nodes(): readonly OwnReceivingNode[] {
    return this.#nodes
  }

  /** The enabled node of this title; asked for callers of the common port. */
  called(aeTitle: string): OwnReceivingNode | undefined {
    return this.#nodes.find((node) => node.enabled && node.aeTitle === aeTitle)
  }

  /** Whether a node can be called now, and why its own port cannot. */
  stateOf(node: OwnReceivingNode): { readonly listening: boolean; readonly problem: string | null } {
    const listening = node.enabled && (node.port === null || this.#open.get(portKey(node))?.aeTitle === node.aeTitle)
    return { listening, problem: listening ? null : (this.#problems.get(portKey(node)) ?? null) }
  }

  /** Reads the nodes again, opens what is missing, closes what is no longer wanted. One after the other. */
  look(): Promise<void> {
    this.#looking = this.#looking
      .then(() => this.#settle())
      .catch((error: unknown) => this.#parts.log.warn({ err: error }, 'receiving nodes not read again; those known before go on holding'))
    return this.#looking
  }

  async stop(drainMs: number): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped = true
    await this.#looking
    await Promise.all([...this.#open.values()].map(({ server }) => server.close({ drainMs })))
    this.#open.clear()
  }

  async #settle(): Promise<void> {
    if (this.#stopped) return
    const { db, log, host, start, admit } = this.#parts
    this.#nodes = await listReceivingNodes(db)
    const wanted = new Map(this.#nodes.filter(({ enabled, port }) => enabled && port !== null).map((node) => [portKey(node), node]))
    for (const [key, { aeTitle, server }] of this.#open) {
      if (wanted.get(key)?.aeTitle === aeTitle) continue
      this.#open.delete(key)
      log.info({ aeTitle, port: server.port }, 'receiving node closed')
      void server.close({ drainMs: CLOSE_DRAIN_MS })
    }
    for (const key of this.#problems.keys()) if (!wanted.has(key)) this.#problems.delete(key)
    for (const [key, node] of wanted) {
      if (this.#open.has(key)) continue
      try {
        const current = () => this.#nodes.find(({ id, enabled }) => id === node.id && enabled)
        const isAllowed = async (callingAeTitle: string) => {
          const now = current()
          return now === undefined ? false : admit(now, callingAeTitle)
        }
        this.#open.set(key, { aeTitle: node.aeTitle, server: await start({ host, port: node.port ?? 0, aeTitle: node.aeTitle, isAllowed }) })
        this.#problems.delete(key)
      } catch (error) {
        const told = error instanceof Error ? error.message : String(error)
        if (this.#problems.get(key) !== told) log.error({ err: error, aeTitle: node.aeTitle, port: node.port }, 'a receiving node cannot listen')
        this.#problems.set(key, told)
      }
    }
  }
}

const portKey = ({ port, aeTitle }: Pick<OwnReceivingNode, 'port' | 'aeTitle'>): string => `${port} ${aeTitle}`
