import type { AuditTrail, Database, Log, Migration, User } from 'service-kit'
import { ImageService, Problem, type EpochMs, type ImageServiceChange, type ImageServiceRow } from 'specs'

/** Another process of the same node (PostgreSQL) learns of a switch after this long at the latest. */
const LOOK_MS = 1_000

const migrations: readonly Migration[] = [
  {
    name: '0001-service-switch',
    up: ['CREATE TABLE service_switch (service TEXT PRIMARY KEY, enabled INTEGER NOT NULL, changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL, reason TEXT NOT NULL)'],
  },
]

export interface SwitchesParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  readonly now?: () => EpochMs
}

/**
 * 服务启停 (FED-28): the image services of this node, each of which an administrator can stop for everybody without touching the others, for a fault of
 * a viewer somewhere, an attack, or maintenance. What was switched off stays so over a restart.
 */
export class ServiceSwitches {
  readonly #parts: SwitchesParts
  readonly #timer: NodeJS.Timeout
  #rows: readonly ImageServiceRow[] = []
  #reading: Promise<void> = Promise.resolve()

  private constructor(parts: SwitchesParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  static async open(parts: SwitchesParts): Promise<ServiceSwitches> {
    await parts.db.migrate('service-switch', migrations)
    const switches = new ServiceSwitches(parts)
    await switches.#read()
    return switches
  }

  list(): ImageServiceRow[] {
    return ImageService.options.map((service) => this.#rows.find((row) => row.service === service) ?? { service, enabled: true, changedAt: null, changedBy: null, reason: '' })
  }

  /** @throws {Problem} service/switched-off */
  check(service: ImageService): void {
    if (this.#rows.some((row) => row.service === service && !row.enabled)) throw new Problem('service/switched-off', { service })
  }

  /** Holds at once here, and is told to the trail together with the switch or not at all. */
  async set(user: Pick<User, 'name'>, service: ImageService, { enabled, reason }: ImageServiceChange): Promise<ImageServiceRow[]> {
    const { db, audit, log, now = Date.now } = this.#parts
    const before = this.list().find((row) => row.service === service)?.enabled ?? true
    await db.write(async (tx) => {
      await tx.run(
        `INSERT INTO service_switch (service, enabled, changed_at, changed_by, reason) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (service) DO UPDATE SET enabled = excluded.enabled, changed_at = excluded.changed_at, changed_by = excluded.changed_by, reason = excluded.reason`,
        [service, enabled ? 1 : 0, now(), user.name, reason],
      )
      await audit.within(tx, { action: 'config.change', outcome: 'success', object: { type: 'config', id: `service/${service}` }, reason, before: { enabled: before }, after: { enabled } })
    })
    log.warn({ service, enabled }, 'a service was switched')
    await this.#look()
    return this.list()
  }

  async #read(): Promise<void> {
    const rows = await this.#parts.db.all<Omit<ImageServiceRow, 'enabled'> & { enabled: number }>(
      'SELECT service, enabled, changed_at AS "changedAt", changed_by AS "changedBy", reason FROM service_switch',
    )
    this.#rows = rows.map((row) => ({ ...row, enabled: row.enabled === 1 }))
  }

  /** One after the other, so that an older reading never comes last. */
  #look(): Promise<void> {
    this.#reading = this.#reading
      .then(() => this.#read())
      .catch((error: unknown) => this.#parts.log.warn({ err: error }, 'service switches not read again; those known before go on holding'))
    return this.#reading
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#reading
  }
}
