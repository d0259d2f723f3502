import { describe, expect, it } from 'vitest'
import { identityOf } from '../patient/identity.ts'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'
import { cornerText, positionText, timeOfDay, windowText, zoomText } from './corner-text.ts'

const dataset = {
  '00100020': { Value: ['P1'] },
  '00180050': { Value: [1] },
  '00201041': { Value: [-841.5] },
  '00080030': { Value: ['141819.0'] },
  '00080020': { Value: ['20240102'] },
  '00282110': { Value: ['01'] },
}
const frame = { dataset } as unknown as ImageFrame
const set = { modality: 'CT', seriesNumber: 3, description: '肺窗', kind: 'stack' } as unknown as DisplaySet

describe('text in the corners', () => {
  it('tells the position of the picture, its slice and window', () => {
    // VWR-08
    expect(positionText({ index: 22, count: 75 })).toBe('Im 23/75')
    expect(windowText({ window: { center: -600, width: 1500 } })).toBe('WW 1500  WL -600')
    expect(zoomText({ zoom: 1.374 })).toBe('137%')
    expect(cornerText(set, frame, identityOf({ dataset })).image).toEqual(['CT Se 3  肺窗', 'SL -841.5 mm  ST 1.0 mm', 'LOSSY'])
  })

  it('leaves out what is not known instead of drawing empty lines', () => {
    const { patient, exam } = cornerText(set, frame, identityOf({ dataset }))
    expect(patient).toEqual(['P1'])
    expect(exam).toEqual(['2024-01-02  14:18'])
    expect([positionText({ index: 0, count: 0 }), windowText({ window: undefined }), timeOfDay('')]).toEqual(['', '', ''])
  })
})
