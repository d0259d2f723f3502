import { describe, expect, it } from 'vitest'
import { withPalette } from './palette.ts'

const base64 = (...bytes: number[]) => btoa(String.fromCharCode(...bytes))

describe('palette tables', () => {
  it('become numbers, one per 16-bit word or one per byte', () => {
    const words = withPalette({ '00281101': { Value: [2, 0, 16] }, '00281201': { vr: 'OW', InlineBinary: base64(0x34, 0x12, 0xff, 0xff) } })
    expect(words['00281201']?.Value).toEqual([0x1234, 0xffff])
    const bytes = withPalette({ '00281101': { Value: [3, 0, 8] }, '00281201': { vr: 'OW', InlineBinary: base64(1, 2, 3, 0) } })
    expect(bytes['00281201']?.Value).toEqual([1, 2, 3])
  })

  it('leave an image without palette as it is', () => {
    expect(withPalette({ '00280010': { Value: [512] } })).toEqual({ '00280010': { Value: [512] } })
  })
})
