import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { OpinionDraft, SavedDraft } from 'specs'
import { DraftSaver, type SaveState } from './draft-saver.ts'

const text = (opinion: string): OpinionDraft => ({ findings: '', opinion, advice: '', keyImages: [] })
const saved = (draft: OpinionDraft, revision: number): SavedDraft => ({ ...draft, savedAt: 1_000 + revision, revision })

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function aSaver(save: (draft: OpinionDraft, revision: number | undefined) => Promise<SavedDraft>) {
  const states: SaveState[] = []
  const saver = new DraftSaver(saved(text(''), 0), {
    save,
    isConflict: (error) => error instanceof Error && error.message === 'conflict',
    onState: (state) => states.push(state),
  })
  return { saver, kinds: () => states.map((state) => state.kind) }
}

describe('saving an opinion while it is written', () => {
  it('saves once after the last key, and says when', async () => {
    // CON-11
    const asked: string[] = []
    const { saver, kinds } = aSaver(async (draft, revision) => (asked.push(draft.opinion), saved(draft, (revision ?? 6) + 1)))
    saver.change(text('右'))
    saver.change(text('右下叶'))
    await vi.advanceTimersByTimeAsync(800)
    expect(asked).toEqual(['右下叶'])
    expect(kinds()).toEqual(['saved', 'waiting', 'waiting', 'saving', 'saved'])
    expect(saver.revision).toBe(1)
  })

  it('tries again after the network failed, with the newest text', async () => {
    let down = true
    const asked: string[] = []
    const { saver, kinds } = aSaver(async (draft, revision) => {
      if (down) throw new TypeError('network')
      asked.push(draft.opinion)
      return saved(draft, (revision ?? 6) + 1)
    })
    saver.change(text('一'))
    await vi.advanceTimersByTimeAsync(800)
    expect(kinds().at(-1)).toBe('failed')
    expect(saver.isSaved).toBe(false)
    saver.change(text('一二'))
    down = false
    await vi.advanceTimersByTimeAsync(4_000)
    expect(asked).toEqual(['一二'])
    expect(saver.isSaved).toBe(true)
  })

  it('has everything saved before signing, and tells when that is impossible', async () => {
    const { saver } = aSaver(async (draft, revision) => saved(draft, (revision ?? 6) + 1))
    saver.change(text('结论'))
    await saver.flush()
    expect([saver.isSaved, saver.revision]).toEqual([true, 1])
    const broken = aSaver(async () => Promise.reject(new Error('conflict')))
    broken.saver.change(text('结论'))
    await expect(broken.saver.flush()).rejects.toThrow('conflict')
    broken.saver.stop()
  })

  it('stops at a conflict until the writer chooses their own text', async () => {
    // COR-15
    const asked: (number | undefined)[] = []
    const { saver, kinds } = aSaver(async (draft, revision) => {
      asked.push(revision)
      if (revision !== undefined) throw new Error('conflict')
      return saved(draft, 7)
    })
    saver.change(text('我的'))
    await vi.advanceTimersByTimeAsync(60_000)
    expect([asked, kinds().at(-1)]).toEqual([[0], 'conflict'])
    saver.change(text('我的文字'))
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toEqual([0])
    await saver.overwrite()
    expect([asked, saver.revision, kinds().at(-1)]).toEqual([[0, undefined], 7, 'saved'])
  })
})
