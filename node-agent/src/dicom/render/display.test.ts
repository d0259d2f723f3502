import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { toDisplay, windowFunction } from './display.ts'
import { isForeignWindow, type PixelDescription } from './pixel-description.ts'

const grey: PixelDescription = {
  rows: 1,
  columns: 4,
  samplesPerPixel: 1,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
  bitsAllocated: 16,
  bitsStored: 12,
  highBit: 11,
  signed: false,
  float: false,
  rescaleSlope: 1,
  rescaleIntercept: 0,
  windows: [],
  voiFunction: 'LINEAR',
}
const show = (pixels: PixelDescription, bytes: number[], window?: Parameters<typeof toDisplay>[2]) => [
  ...toDisplay(
    {
      bytes: Buffer.from(bytes),
      photometricInterpretation: pixels.photometricInterpretation,
      planarConfiguration: pixels.planarConfiguration,
    },
    pixels,
    window,
  ).data,
]

describe('windowing', () => {
  it('does not take the window of another image', () => {
    // VWR-04: a radiograph of 14 bits that carries a CT's lung window
    expect(isForeignWindow({ center: -600, width: 1600 }, 0, 16_383)).toBe(true)
    expect(isForeignWindow({ center: -600, width: 1600 }, -1_024, 3_071)).toBe(false)
    expect(isForeignWindow({ center: -2, width: 4_955 }, 0, 4_095)).toBe(false)
  })

  it('follows the formulas of PS3.3 C.11.2', () => {
    // The example of C.11.2.1.2.1: centre 2048, width 4096 over 12 bits.
    const linear = windowFunction({ center: 2048, width: 4096 }, 'LINEAR')
    expect([linear(0), linear(4095), linear(2047), linear(-5), linear(9999)]).toEqual([0, 255, 127, 0, 255])
    const exact = windowFunction({ center: 50, width: 100 }, 'LINEAR_EXACT')
    expect([exact(0), exact(50), exact(100)]).toEqual([0, 128, 255])
    const sigmoid = windowFunction({ center: 50, width: 100 }, 'SIGMOID')
    expect([sigmoid(50), sigmoid(-1000), sigmoid(1000)]).toEqual([128, 0, 255])
    expect(windowFunction({ center: 10, width: 1 }, 'LINEAR')(9)).toBe(0)
    expect(windowFunction({ center: 10, width: 1 }, 'LINEAR')(10)).toBe(255)
  })
})

describe('showing stored values', () => {
  it('reads signed values below overlay bits, rescales and windows them', () => {
    // 12 bits stored: 0xF000 is overlay, 0xFFF is -1.
    const ct = { ...grey, signed: true, rescaleIntercept: -1, windows: [{ center: 0, width: 4 }] }
    expect(show(ct, [0xff, 0xff, 0x01, 0xf0, 0x00, 0x08, 0xff, 0x07])).toEqual([0, 170, 0, 255])
  })

  it('shows everything but padding when no window is given, and inverts MONOCHROME1', () => {
    expect(show({ ...grey, paddingValue: 4000 }, [0, 0, 100, 0, 200, 0, 0xa0, 0x0f])).toEqual([0, 128, 255, 255])
    expect(show({ ...grey, photometricInterpretation: 'MONOCHROME1' }, [0, 0, 100, 0, 200, 0, 200, 0])).toEqual([255, 127, 0, 0])
  })

  it('prefers a window that is asked for', () => {
    expect(
      show({ ...grey, windows: [{ center: 0, width: 1 }] }, [0, 0, 100, 0, 200, 0, 200, 0], {
        center: 100,
        width: 200,
        shape: 'LINEAR_EXACT',
      }),
    ).toEqual([0, 128, 255, 255])
  })

  it('follows a palette and a VOI table', () => {
    const ramp = { first: 1, bits: 8, entries: [10, 20] }
    expect(
      show(
        { ...grey, photometricInterpretation: 'PALETTE COLOR', palette: [ramp, ramp, { first: 0, bits: 16, entries: [0x1200, 0xff00] }] },
        [0, 0, 1, 0, 2, 0, 9, 0],
      ),
    ).toEqual([10, 10, 0x12, 10, 10, 0xff, 20, 20, 0xff, 20, 20, 0xff])
    expect(show({ ...grey, voiLut: { first: 0, bits: 8, entries: [255, 0] } }, [0, 0, 1, 0, 2, 0, 0, 0])).toEqual([255, 0, 0, 255])
  })

  it('turns luminance and chrominance into colour, planar and subsampled too', () => {
    const colour = { ...grey, columns: 2, samplesPerPixel: 3, bitsAllocated: 8, bitsStored: 8, highBit: 7 }
    expect(show({ ...colour, photometricInterpretation: 'RGB', planarConfiguration: 1 }, [1, 2, 3, 4, 5, 6])).toEqual([1, 3, 5, 2, 4, 6])
    expect(show({ ...colour, photometricInterpretation: 'YBR_FULL' }, [76, 85, 255, 128, 128, 128])).toEqual([254, 0, 0, 128, 128, 128])
    expect(show({ ...colour, photometricInterpretation: 'YBR_FULL_422' }, [76, 128, 128, 128])).toEqual([76, 76, 76, 128, 128, 128])
  })
})
