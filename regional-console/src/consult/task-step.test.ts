import { describe, expect, it } from 'vitest'
import type { TaskRow } from 'specs'
import { isOpen, stepOf, submittedToday } from './task-step.ts'

describe('where a task stands', () => {
  it('counts along the way and leaves it when cancelled', () => {
    expect([stepOf('submitted'), stepOf('read'), stepOf('cancelled')]).toEqual([0, 5, -1])
  })
  it('is open until the requester has read the opinion', () => {
    expect(isOpen({ state: 'returned' } as TaskRow)).toBe(true)
    expect(isOpen({ state: 'read' } as TaskRow)).toBe(false)
  })
  it('counts as of today from local midnight', () => {
    const now = new Date(2026, 10, 22, 9).getTime()
    expect(submittedToday([{ createdAt: now - 3_600_000 }, { createdAt: now - 86_400_000 }] as TaskRow[], now)).toBe(1)
  })
})
