import { describe, expect, it } from 'vitest'
import { commandOfKey, isWriting } from './commands.ts'
import { pinch, toolOfPointer, zoomOfDrag } from './pointer-tool.ts'

const plain = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false }
const left = { pointerType: 'mouse', button: 0, shiftKey: false, ctrlKey: false }

describe('keys of the reading room', () => {
  it('pages by arrows, page keys and the ends', () => {
    // VWR-08
    expect(commandOfKey({ ...plain, key: 'ArrowDown' })).toEqual({ kind: 'step', steps: 1 })
    expect(commandOfKey({ ...plain, key: 'PageUp' })).toEqual({ kind: 'step', steps: -10 })
    expect(commandOfKey({ ...plain, key: 'End' })).toEqual({ kind: 'last' })
  })

  it('chooses a preset by its digit and marks by K, upper or lower case', () => {
    // VWR-22
    expect(commandOfKey({ ...plain, key: '1' })).toEqual({ kind: 'preset', key: 1 })
    expect(commandOfKey({ ...plain, key: 'K' })).toEqual({ kind: 'mark-key-image' })
  })

  it('leaves shortcuts of the browser and text being written alone', () => {
    expect(commandOfKey({ ...plain, ctrlKey: true, key: 'p' })).toBeUndefined()
    expect(commandOfKey({ ...plain, key: '0' })).toBeUndefined()
    expect(isWriting({ tagName: 'TEXTAREA' })).toBe(true)
    expect(isWriting({ tagName: 'INPUT', type: 'range' })).toBe(false)
    expect(isWriting({ tagName: 'DIV' })).toBe(false)
  })
})

describe('what dragging does', () => {
  it('uses the chosen tool with the left button, scrolls with the middle and windows with the right one', () => {
    // VWR-08, VWR-21
    expect(toolOfPointer(left, 'zoom')).toBe('zoom')
    expect(toolOfPointer({ ...left, button: 1 }, 'zoom')).toBe('scroll')
    expect(toolOfPointer({ ...left, button: 2 }, 'scroll')).toBe('window')
  })

  it('pans with Shift and zooms with Ctrl, and leaves drawing a length to its tool', () => {
    expect(toolOfPointer({ ...left, shiftKey: true }, 'length')).toBe('pan')
    expect(toolOfPointer({ ...left, ctrlKey: true }, 'scroll')).toBe('zoom')
    expect(toolOfPointer(left, 'length')).toBeUndefined()
  })

  it('enlarges when two fingers spread and pans with their middle', () => {
    expect(
      pinch(
        [
          [0, 0],
          [100, 0],
        ],
        [
          [10, 20],
          [210, 20],
        ],
      ),
    ).toEqual({ factor: 2, center: [110, 20], panX: 60, panY: 20 })
    expect(zoomOfDrag(-150)).toBeCloseTo(2, 1)
    expect(zoomOfDrag(0)).toBe(1)
  })
})
