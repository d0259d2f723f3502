import type { AuditTrail, Database, Log, Migration, User } from 'service-kit'
import { DicomSettings, DicomSettingsChange, type EpochMs } from 'specs'
import type { DimseBehaviour } from '../dimse/server.ts'

/** Another process of the same node (PostgreSQL) learns of a change after this long at the latest. */
const LOOK_MS = 1_000

const migrations: readonly Migration[] = [
  { name: '0001-dicom-setting', up: ['CREATE TABLE dicom_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL, changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL)'] },
]

export interface DicomSettingsParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  /** What the configuration file says: holds for whatever nobody has changed since. */
  readonly configured: DicomSettings
  readonly now?: () => EpochMs
}

/** The settings of the DICOM ports as they are now (ARC-05): from the configuration, changed by administrators without a restart. */
export class DicomSettingsBook {
  readonly #parts: DicomSettingsParts
  readonly #timer: NodeJS.Timeout
  #current: DicomSettings
  #reading: Promise<void> = Promise.resolve()

  private constructor(parts: DicomSettingsParts) {
    this.#parts = parts
    this.#current = parts.configured
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  static async open(parts: DicomSettingsParts): Promise<DicomSettingsBook> {
    await parts.db.migrate('dicom-setting', migrations)
    const book = new DicomSettingsBook(parts)
    await book.#read()
    return book
  }

  get current(): DicomSettings {
    return this.#current
  }

  /** As the DICOM service reads it for each connection. */
  get behaviour(): DimseBehaviour {
    const { checkCalledAe, privateSopClasses, refusedSopClasses, charset, maxAssociations, maxPduBytes, artimMs, idleMs, stallMs, maxMatches } = this.#current
    return { checkCalledAe, privateSopClasses, refusedSopClasses, charset, limits: { maxAssociations, maxPduBytes, artimMs, idleMs, stallMs, maxMatches } }
  }

  /** Holds from the next association on; told to the trail together with the change or not at all. */
  async change(user: Pick<User, 'name'>, given: DicomSettingsChange): Promise<DicomSettings> {
    const { db, audit, log, now = Date.now } = this.#parts
    const names = Object.keys(given) as (keyof DicomSettings)[]
    await this.#look()
    const before = Object.fromEntries(names.map((name) => [name, this.#current[name]]))
    await db.write(async (tx) => {
      for (const name of names)
        await tx.run(
          `INSERT INTO dicom_setting (name, value, changed_at, changed_by) VALUES ($1, $2, $3, $4)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
          [name, JSON.stringify(given[name]), now(), user.name],
        )
      await audit.within(tx, { action: 'config.dicom-settings', outcome: 'success', object: { type: 'config', id: 'dicom' }, before, after: given })
    })
    log.warn({ changed: given }, 'DICOM settings changed')
    await this.#look()
    return this.#current
  }

  async #read(): Promise<void> {
    const rows = await this.#parts.db.all<{ name: string; value: string }>('SELECT name, value FROM dicom_setting')
    // A setting that a later version has dropped or narrowed does not keep the service from running.
    const kept = rows.flatMap(({ name, value }) => {
      const parsed = DicomSettingsChange.safeParse({ [name]: JSON.parse(value) as unknown })
      return parsed.success ? [parsed.data] : []
    })
    this.#current = DicomSettings.parse(Object.assign({}, this.#parts.configured, ...kept))
  }

  /** One after the other, so that an older reading never comes last. */
  #look(): Promise<void> {
    this.#reading = this.#reading
      .then(() => this.#read())
      .catch((error: unknown) => this.#parts.log.warn({ err: error }, 'DICOM settings not read again; those known before go on holding'))
    return this.#reading
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#reading
  }
}
