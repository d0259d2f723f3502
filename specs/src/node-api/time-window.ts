import { z } from 'zod'

const clock = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, '应为 HH:MM / expected HH:MM')

/** When something may run, by the clock of the hospital: `22:00` to `06:00` goes on past midnight; the same time twice is a whole day. */
export const TimeWindow = z.object({
  from: clock,
  to: clock,
  /** Days on which it opens, 1 Monday to 7 Sunday; none named: every day. */
  days: z.array(z.number().int().min(1).max(7)).max(7).default([]),
})
export type TimeWindow = z.infer<typeof TimeWindow>
export const TimeWindows = z.array(TimeWindow).max(10).default([])
