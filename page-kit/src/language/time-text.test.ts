import { describe, expect, it } from 'vitest'
import { sizeText, timeText } from './time-text.ts'

describe('times and sizes as people read them', () => {
  const noon = new Date(2026, 10, 22, 12, 0, 5).getTime()
  it('shows only the clock for today', () => expect(timeText(noon, noon + 1000)).toBe('12:00:05'))
  it('adds the date for another day', () => expect(timeText(noon, noon + 86_400_000)).toBe('2026-11-22 12:00:05'))
  it('shows a dash for never', () => expect(timeText(null)).toBe('—'))
  it('keeps sizes short', () => expect([sizeText(512), sizeText(1536), sizeText(39_460_050)]).toEqual(['512 B', '1.5 KB', '37.6 MB']))
})
