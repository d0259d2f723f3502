import type { AuditTrail, Database, Log, Migration, Vault } from 'service-kit'
import { AgentParameters, HUB, kinds, noParameters, ParametersChanged, ParametersTold, parseWith, Problem, services, shownParameters, type EpochMs, type PlatformS3, type PlatformParametersView, type RegionId } from 'specs'
import type { NodeConfig } from '../config.ts'
import type { Line } from '../region/line.ts'

export const parametersMigrations: readonly Migration[] = [
  {
    name: '0001-platform-parameters',
    // Sealed by the vault: the key of a bucket is in it.
    up: ['CREATE TABLE platform_parameters (region_id TEXT PRIMARY KEY, sealed TEXT NOT NULL, version BIGINT NOT NULL, received_at BIGINT NOT NULL)'],
  },
]
const contextOf = (regionId: string): string => `platform-parameters/${regionId}`
/** For the change of the vault's key. */
export const sealedPlatformParameters = { table: 'platform_parameters', key: 'region_id', column: 'sealed', context: contextOf }

export interface PlatformParametersParts {
  readonly db: Database
  readonly vault: Pick<Vault, 'seal' | 'open'>
  readonly line: Line
  readonly log: Log
  readonly audit: AuditTrail
  /** The region that counts; the last parameters of another stay for the day of its return (AGT-03). */
  readonly regionId: () => RegionId | undefined
  readonly regionName: () => string | undefined
  readonly configured: NodeConfig['transfer']
  readonly onChange?: (parameters: AgentParameters) => void
  /** Sets the bucket up as a store of the archives; what lies there is decided by rules of the hospital. */
  readonly useBucket?: (s3: PlatformS3) => Promise<unknown>
  readonly now?: () => EpochMs
}

const ASK_MS = 10_000
const ASK_EVERY_MS = 3_600_000

/**
 * 服务端参数本地化存储 (AGT-13): what the platform says of uploads and storage, asked over our own line when it tells of news, when the line is
 * back and every hour. The last ones are kept here, sealed, and count while the platform is away and after a restart.
 */
export class PlatformParameters {
  readonly #parts: PlatformParametersParts
  readonly #now: () => EpochMs
  /** By region. */
  readonly #kept = new Map<string, { readonly version: number; readonly receivedAt: EpochMs; readonly parameters: AgentParameters }>()
  /** A bucket that could not be reached when it was told; tried again with every refresh. */
  #untried: PlatformS3 | undefined
  #timer: ReturnType<typeof setInterval> | undefined
  #asking: Promise<void> = Promise.resolve()

  private constructor(parts: PlatformParametersParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    parts.line.onMessage(kinds.parametersChanged, async (tx, { from, body }) => {
      if (from !== HUB) throw new Problem('access/forbidden')
      parseWith(ParametersChanged, body, kinds.parametersChanged)
      tx.afterCommit(() => this.refresh())
    })
  }

  static async open(parts: PlatformParametersParts): Promise<PlatformParameters> {
    await parts.db.migrate('platform-parameters', parametersMigrations)
    const opened = new PlatformParameters(parts)
    opened.#timer = setInterval(() => opened.refresh(), ASK_EVERY_MS)
    opened.#timer.unref()
    return opened
  }

  /** The last ones that were told, before any line is open. */
  async start(): Promise<void> {
    await this.#load()
    this.#parts.onChange?.(this.current)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#asking
  }

  get #told() {
    return this.#kept.get(this.#parts.regionId() ?? '')
  }

  get current(): AgentParameters {
    return this.#told?.parameters ?? noParameters
  }

  /** The settings of transfers as they count now: the platform's where it says something. Read at every use. */
  transferSettings(): NodeConfig['transfer'] {
    const { configured } = this.#parts
    const current = () => this.current
    return {
      ...configured,
      get piecesInFlight() {
        return current().uploadThreads ?? configured.piecesInFlight
      },
      get studiesAtOnce() {
        return current().studiesAtOnce ?? configured.studiesAtOnce
      },
    }
  }

  /** Asks the platform; without an answer the last ones go on counting. */
  refresh(): void {
    this.#asking = this.#asking.then(() => this.#ask()).catch((error: unknown) => this.#parts.log.info({ err: error }, 'parameters of the platform not taken, the last ones count'))
  }

  view(): PlatformParametersView {
    const { configured, regionName } = this.#parts
    const { studiesAtOnce, uploadThreads } = this.current
    return {
      regionName: this.#told ? (regionName() ?? null) : null,
      version: this.#told?.version ?? null,
      receivedAt: this.#told?.receivedAt ?? null,
      rows: [
        { name: 'studiesAtOnce', platform: studiesAtOnce, configured: configured.studiesAtOnce, inForce: studiesAtOnce ?? configured.studiesAtOnce },
        { name: 'uploadThreads', platform: uploadThreads, configured: configured.piecesInFlight, inForce: uploadThreads ?? configured.piecesInFlight },
      ],
      s3: shownParameters(this.current).s3,
    }
  }

  async #ask(): Promise<void> {
    const { db, vault, line, audit, regionId, onChange, log } = this.#parts
    const region = regionId()
    if (region === undefined) return
    const told = parseWith(ParametersTold, await line.request(HUB, services.parametersRead, {}, { timeoutMs: ASK_MS }), services.parametersRead)
    if (this.#kept.get(region)?.version === told.version) return this.#tryBucket()
    const [before, receivedAt] = [this.current, this.#now()]
    await db.write(async (tx) => {
      await tx.run(
        `INSERT INTO platform_parameters (region_id, sealed, version, received_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (region_id) DO UPDATE SET sealed = $2, version = $3, received_at = $4`,
        [region, vault.seal(JSON.stringify(told.parameters), contextOf(region)), told.version, receivedAt],
      )
      await audit.within(tx, { action: 'config.parameters', outcome: 'success', actor: { kind: 'hospital', id: HUB }, object: { type: 'config', id: 'platform-parameters' }, before: shownParameters(before), after: shownParameters(told.parameters) })
    })
    this.#kept.set(region, { version: told.version, receivedAt, parameters: told.parameters })
    log.info({ version: told.version, studiesAtOnce: told.parameters.studiesAtOnce, uploadThreads: told.parameters.uploadThreads }, 'parameters of the platform taken')
    onChange?.(this.current)
    this.#untried = told.parameters.s3 ?? undefined
    await this.#tryBucket()
  }

  async #tryBucket(): Promise<void> {
    const s3 = this.#untried
    if (!s3) return
    await this.#parts.useBucket?.(s3) // what it throws is logged; the transfer parameters count all the same
    this.#untried = undefined
  }

  async #load(): Promise<void> {
    const { db, vault } = this.#parts
    const rows = await db.all<{ regionId: string; sealed: string; version: number; receivedAt: EpochMs }>('SELECT region_id AS "regionId", sealed, version, received_at AS "receivedAt" FROM platform_parameters')
    for (const { regionId, sealed, version, receivedAt } of rows)
      this.#kept.set(regionId, { version, receivedAt, parameters: AgentParameters.parse(JSON.parse(vault.open(sealed, contextOf(regionId)))) })
  }
}
