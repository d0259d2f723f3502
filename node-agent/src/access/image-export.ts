import type { AuditTrail, Database } from 'service-kit'
import { Problem, type EpochMs, type HospitalId } from 'specs'

export interface ImageExportParts {
  readonly db: Database
  readonly audit: AuditTrail
  readonly settings: { readonly reason: 'required' | 'optional'; readonly studiesPerDay: number }
  readonly now?: () => EpochMs
}

export interface AskedExport {
  readonly accountId: string
  readonly study: string
  readonly owner: HospitalId
  readonly reason: string
  /** What exactly leaves, and for what: then the trail hears of each time, not only of the day's first. */
  readonly told?: { readonly purpose: string; readonly facts: Readonly<Record<string, unknown>> }
}

/**
 * 影像导出 (SEC-10): image files that leave the system for a person or a program. Whether it may at all has been decided before; here a
 * reason is asked for, the day's number of studies is kept, and the trail hears of it before the first byte goes out.
 */
export class ImageExports {
  readonly #parts: ImageExportParts
  readonly #now: () => EpochMs

  constructor(parts: ImageExportParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  /** Instances of one study are asked for one by one: the study counts once a day. @throws {Problem} access/reason-needed, access/export-limit, audit/unavailable */
  async begin({ accountId, study, owner, reason, told }: AskedExport): Promise<void> {
    const { db, audit, settings } = this.#parts
    if (settings.reason === 'required' && reason === '') throw new Problem('access/reason-needed')
    const at = this.#now()
    const day = dayOf(at)
    const again = await db.run(`UPDATE image_export SET last_at = $4, times = times + 1 WHERE account_id = $1 AND day = $2 AND study_instance_uid = $3`, [accountId, day, study, at])
    const event = { action: 'image.export', outcome: 'success', object: { type: 'study', id: study, owner }, ...(reason !== '' && { reason }), ...(told && { purpose: told.purpose }) } as const
    if (again > 0) {
      if (told) await audit.record({ ...event, facts: told.facts })
      return
    }
    await db.write(async (tx) => {
      const counted = await tx.get<{ studies: number }>('SELECT COUNT(*) AS "studies" FROM image_export WHERE account_id = $1 AND day = $2', [accountId, day])
      const studies = counted?.studies ?? 0
      if (studies >= settings.studiesPerDay) throw new Problem('access/export-limit', { studiesPerDay: settings.studiesPerDay })
      await tx.run(
        `INSERT INTO image_export (account_id, study_instance_uid, day, reason, first_at, last_at, times) VALUES ($1, $2, $3, $4, $5, $5, 1)
         ON CONFLICT (account_id, day, study_instance_uid) DO UPDATE SET last_at = excluded.last_at, times = image_export.times + 1`,
        [accountId, study, day, reason, at],
      )
      await audit.within(tx, { ...event, facts: { studiesToday: studies + 1, ...told?.facts } })
    })
  }
}

const dayOf = (at: EpochMs): string => {
  const local = new Date(at)
  return `${local.getFullYear()}-${String(local.getMonth() + 1).padStart(2, '0')}-${String(local.getDate()).padStart(2, '0')}`
}
