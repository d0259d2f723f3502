import { describe, expect, it } from 'vitest'
import { forDrawing } from './for-drawing.ts'

const element = (...values: unknown[]) => ({ Value: values })

describe('what is drawn from', () => {
  it('keeps the proportions of pixels that are not square', () => {
    // VWR-04
    const echo = forDrawing({ '00080060': element('US'), '00280034': element(536, 670) })
    expect(echo['00280030']?.Value).toEqual([0.8, 1])
    const dx = forDrawing({ '00080060': element('DX'), '00181164': element(0.2, 0.1) })
    expect(dx['00280030']?.Value).toEqual([0.2, 0.1])
    expect(forDrawing({ '00280034': element(0, 1) })['00280030']).toBeUndefined()
  })

  it('keeps the spacing and the windows of a CT', () => {
    const ct = { '00280030': element(0.78, 0.5), '00281050': element(-450, -450), '00281051': element(2000, 2000) }
    expect(forDrawing(ct)).toMatchObject({
      '00280030': { Value: [0.78, 0.5] },
      '00281050': { Value: [-450] },
      '00281051': { Value: [2000] },
    })
  })
})
