import { AcquisitionJobInput, type AcquisitionJob } from 'specs'

/** A job as the form has it: every field there, whichever kind is chosen. */
export interface JobDraft extends Omit<AcquisitionJobInput, 'schedule'> {
  datesKind: AcquisitionJobInput['selection']['dates']['kind']
  lastDays: number
  between: [string, string] | null
  scheduleKind: AcquisitionJobInput['schedule']['kind']
  minutes: number
  cron: string
}

export function draftOf(job: AcquisitionJob | undefined): JobDraft {
  const { schedule, ...input } = job ? AcquisitionJobInput.parse(job) : AcquisitionJobInput.parse({ name: '-', sourceNodeId: '', schedule: { kind: 'cron', expression: '0 1 * * *' } })
  const { dates } = input.selection
  return {
    ...input,
    name: job?.name ?? '',
    datesKind: dates.kind,
    lastDays: dates.kind === 'last-days' ? dates.days : 3,
    between: dates.kind === 'between' ? [dates.from, dates.to] : null,
    scheduleKind: schedule.kind,
    minutes: schedule.kind === 'every' ? schedule.minutes : 60,
    cron: schedule.kind === 'cron' ? schedule.expression : '0 1 * * *',
  }
}

/** @returns what the service takes; undefined while something is missing. */
export function jobOf({ datesKind, lastDays, between, scheduleKind, minutes, cron, ...rest }: JobDraft): AcquisitionJobInput | undefined {
  const dates = datesKind === 'last-days' ? { kind: datesKind, days: lastDays } : datesKind === 'between' ? { kind: datesKind, from: between?.[0], to: between?.[1] } : { kind: datesKind }
  const schedule = scheduleKind === 'every' ? { kind: scheduleKind, minutes } : scheduleKind === 'cron' ? { kind: scheduleKind, expression: cron } : { kind: scheduleKind }
  const { success, data } = AcquisitionJobInput.safeParse({ ...rest, selection: { ...rest.selection, dates }, schedule })
  return success && data.sourceNodeId !== '' ? data : undefined
}
