import { Cron } from 'croner'
import { Problem, type AcquisitionSchedule, type EpochMs } from 'specs'

/**
 * When a job runs next, by the clock of the hospital; null: only when a person says so.
 * @throws {Problem} acquisition/bad-schedule
 */
export function nextRunOf(schedule: AcquisitionSchedule, after: EpochMs): EpochMs | null {
  switch (schedule.kind) {
    case 'manual':
      return null
    case 'every':
      return after + schedule.minutes * 60_000
    case 'cron':
      try {
        const next = new Cron(schedule.expression, { mode: '5-part' }).nextRun(new Date(after))
        if (next) return next.getTime()
      } catch (cause) {
        throw new Problem('acquisition/bad-schedule', { expression: schedule.expression }, { cause })
      }
      throw new Problem('acquisition/bad-schedule', { expression: schedule.expression })
  }
}
