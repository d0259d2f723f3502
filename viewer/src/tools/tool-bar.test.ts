import { describe, expect, it } from 'vitest'
import { toolBar, type BarState } from './tool-bar.ts'

const idle: BarState = {
  tool: 'scroll',
  hasImage: true,
  inverted: false,
  playing: false,
  canPlay: true,
  isKeyImage: false,
  canMark: true,
  keyImagesOnly: false,
  hasKeyImages: false,
  textsShown: true,
}
const button = (state: Partial<BarState>, id: string) =>
  toolBar({ ...idle, ...state })
    .flat()
    .find((one) => one.id === id)

describe('tool bar', () => {
  it('shows which tool dragging uses', () => {
    expect(button({ tool: 'length' }, 'tool-length')?.pressed).toBe(true)
    expect(button({ tool: 'length' }, 'tool-scroll')?.pressed).toBe(false)
  })

  it('offers pause while playing, and unmark on a key image', () => {
    // VWR-07
    expect(button({ playing: true }, 'cine')).toMatchObject({ icon: 'pause', label: 'pause' })
    expect(button({ isKeyImage: true }, 'mark-key-image')).toMatchObject({ label: 'unmark', pressed: true })
    expect(button({ isKeyImage: true, canMark: false }, 'mark-key-image')).toMatchObject({ label: 'mark', pressed: true })
  })

  it('offers nothing that cannot work', () => {
    expect(button({ canPlay: false }, 'cine')?.disabled).toBe(true)
    expect(button({ hasKeyImages: false }, 'key-images-only')?.disabled).toBe(true)
    expect(button({ hasImage: false }, 'invert')?.disabled).toBe(true)
  })
})
