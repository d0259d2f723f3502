import type { EpochMs, TimeWindow } from 'specs'

const DAY_MINUTES = 1_440
const minuteOf = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5))
/** 1 Monday to 7 Sunday. */
const dayOf = (at: Date): number => at.getDay() || 7
const lengthOf = ({ from, to }: TimeWindow): number => (minuteOf(to) - minuteOf(from) + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES
const opensOn = ({ days }: TimeWindow, day: Date): boolean => days.length === 0 || days.includes(dayOf(day))
/** The wall clock of that day: the machine's time zone is the hospital's, also across a change to summer time. */
const at = (day: Date, minutes: number): Date => new Date(day.getFullYear(), day.getMonth(), day.getDate(), 0, minutes)

/** When the windows next let something run: now when one is open or there are none, otherwise when the next opens. */
export function nextOpening(windows: readonly TimeWindow[], now: EpochMs): EpochMs {
  if (windows.length === 0) return now
  const today = new Date(now)
  let next = Number.POSITIVE_INFINITY
  // From yesterday, whose window may still be open, to a week from now, when each named day has come.
  for (let offset = -1; offset <= 7; offset++) {
    const day = new Date(today.getFullYear(), today.getMonth(), today.getDate() + offset)
    for (const window of windows) {
      if (!opensOn(window, day)) continue
      const from = minuteOf(window.from)
      const opens = at(day, from).getTime()
      const closes = at(day, from + lengthOf(window)).getTime()
      if (now < closes) next = Math.min(next, Math.max(opens, now))
    }
  }
  return next
}

export const isOpen = (windows: readonly TimeWindow[], now: EpochMs): boolean => nextOpening(windows, now) === now
