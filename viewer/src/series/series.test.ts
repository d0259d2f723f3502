import { describe, expect, it } from 'vitest'
import type { Dataset } from '../dicomweb/dataset.ts'
import { contentOfSeries } from './display-sets.ts'
import { compareSeries, sliceLocationMm } from './sort.ts'

interface Slice {
  uid: string
  number?: number
  z?: number
  orientation?: readonly number[]
  modality?: string
  frames?: number
  rows?: number
  rest?: Dataset
}

function anInstance({ uid, number, z, orientation = [1, 0, 0, 0, 1, 0], modality = 'CT', frames, rows = 512, rest }: Slice): Dataset {
  return {
    '00080016': { Value: ['1.2.840.10008.5.1.4.1.1.2'] },
    '00080018': { Value: [uid] },
    '0020000D': { Value: ['1.1'] },
    '0020000E': { Value: ['1.2'] },
    '00080060': { Value: [modality] },
    '00280010': { Value: [rows] },
    '00280011': { Value: [512] },
    ...(number !== undefined && { '00200013': { Value: [number] } }),
    ...(z !== undefined && { '00200032': { Value: [0, 0, z] }, '00200037': { Value: [...orientation] } }),
    ...(frames !== undefined && { '00280008': { Value: [frames] } }),
    ...rest,
  }
}

const orderOf = (instances: readonly Dataset[]) => contentOfSeries(instances).displaySets[0]?.frames.map((frame) => frame.sopInstanceUid)

describe('order of a stack', () => {
  it('lies as in the patient, in the direction of the instance numbers', () => {
    expect(
      orderOf([
        anInstance({ uid: '3', number: 3, z: -30 }),
        anInstance({ uid: '1', number: 1, z: -10 }),
        anInstance({ uid: '2', number: 2, z: -20 }),
      ]),
    ).toEqual(['1', '2', '3'])
    expect(
      orderOf([
        anInstance({ uid: '1', number: 1, z: 10 }),
        anInstance({ uid: '3', number: 2, z: 30 }),
        anInstance({ uid: '2', number: 3, z: 20 }),
      ]),
    ).toEqual(['1', '2', '3'])
  })

  it('keeps instance numbers when several phases lie at one place', () => {
    expect(
      orderOf([
        anInstance({ uid: 'b', number: 2, z: 10 }),
        anInstance({ uid: 'c', number: 3, z: 20 }),
        anInstance({ uid: 'a', number: 1, z: 10 }),
      ]),
    ).toEqual(['a', 'b', 'c'])
  })

  it('keeps instance numbers for a localizer of mixed directions', () => {
    const sagittal = [0, 1, 0, 0, 0, -1]
    expect(
      orderOf([anInstance({ uid: 'b', number: 2, z: -99, orientation: sagittal }), anInstance({ uid: 'a', number: 1, z: 10 })]),
    ).toEqual(['a', 'b'])
  })

  it('puts a picture without number last', () => {
    expect(orderOf([anInstance({ uid: 'x' }), anInstance({ uid: 'a', number: 7 })])).toEqual(['a', 'x'])
  })

  it('tells the slice location from the position when the header has none', () => {
    const frame = contentOfSeries([anInstance({ uid: '1', number: 1, z: -561.8 })]).displaySets[0]?.frames[0]
    expect(frame && sliceLocationMm(frame)).toBeCloseTo(-561.8)
  })
})

describe('what a series shows', () => {
  it('makes a clip of every multi-frame instance, with its own rate', () => {
    const clip = (uid: string, number: number, rest: Dataset) => anInstance({ uid, number, frames: 30, modality: 'US', rest })
    const { displaySets } = contentOfSeries([clip('b', 2, { '00181063': { Value: [50] } }), clip('a', 1, { '00180040': { Value: [25] } })])
    expect(displaySets.map((set) => [set.id, set.kind, set.frames.length, set.frameRate])).toEqual([
      ['a', 'clip', 30, 25],
      ['b', 'clip', 30, 20],
    ])
    expect(displaySets[0]?.frames[29]?.frame).toBe(30)
  })

  it('keeps reports and key object selections out of the pictures', () => {
    const { displaySets, documents } = contentOfSeries([
      anInstance({ uid: 'k', modality: 'KO', rows: 0 }),
      anInstance({ uid: 's', modality: 'SEG' }),
    ])
    expect(displaySets).toEqual([])
    expect(documents.map((document) => document.modality)).toEqual(['KO', 'SEG'])
  })

  it('lists series by number, unnumbered ones last', () => {
    const sorted = [
      { seriesNumber: undefined, seriesInstanceUid: '9' },
      { seriesNumber: 4, seriesInstanceUid: '2' },
      { seriesNumber: 1, seriesInstanceUid: '3' },
    ].sort(compareSeries)
    expect(sorted.map((series) => series.seriesInstanceUid)).toEqual(['3', '2', '9'])
  })
})
