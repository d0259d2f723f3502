import { describe, expect, it } from 'vitest'
import type { DisplaySet, ImageFrame } from '../series/image-frame.ts'
import { findKeyImage, keyImageOf, keyImageSet, toggleKeyImage, withNote } from './key-images.ts'
import { isKeyObject, readKeyObject } from './key-object.ts'

function aFrame(sopInstanceUid: string, frame = 1, isMultiFrame = false): ImageFrame {
  return {
    studyInstanceUid: '1.2',
    seriesInstanceUid: '1.2.3',
    sopInstanceUid,
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    frame,
    isMultiFrame,
    instanceNumber: undefined,
    dataset: {},
  }
}
const aSet = (id: string, frames: readonly ImageFrame[]): DisplaySet => ({
  id,
  seriesInstanceUid: id,
  modality: 'CT',
  seriesNumber: 1,
  description: '',
  kind: 'stack',
  frames,
  frameRate: undefined,
})

describe('marking key images', () => {
  it('marks a picture once and takes the mark away at the second press', () => {
    // CON-18
    const once = toggleKeyImage([], aFrame('1.1'))
    expect(once).toEqual([keyImageOf(aFrame('1.1'))])
    expect(toggleKeyImage(once, aFrame('1.1'))).toEqual([])
  })

  it('marks frames of one clip apart, and names no frame in a single picture', () => {
    const keys = toggleKeyImage(toggleKeyImage([], aFrame('1.1', 3, true)), aFrame('1.1', 9, true))
    expect(keys.map((key) => key.frame)).toEqual([3, 9])
    expect(keyImageOf(aFrame('1.1'))).not.toHaveProperty('frame')
  })

  it('keeps a note with its picture, and an empty note is none', () => {
    const keys = withNote(toggleKeyImage(toggleKeyImage([], aFrame('1.1')), aFrame('1.2')), 1, '右下叶结节')
    expect(keys.map((key) => key.note)).toEqual([undefined, '右下叶结节'])
    expect(withNote(keys, 1, ' ')[1]).not.toHaveProperty('note')
  })

  it('finds the marked picture again and gathers the marks of all series into one stack', () => {
    const sets = [aSet('a', [aFrame('1.1'), aFrame('1.2')]), aSet('b', [aFrame('2.1', 1, true), aFrame('2.1', 2, true)])]
    expect(findKeyImage({ sopInstanceUid: '2.1', frame: 2 }, sets)).toMatchObject({ set: { id: 'b' }, index: 1 })
    const gathered = keyImageSet(
      [{ sopInstanceUid: '2.1', frame: 2 }, { sopInstanceUid: '1.2' }, { sopInstanceUid: '1.2' }, { sopInstanceUid: '9.9' }],
      sets,
    )
    expect(gathered?.frames.map((frame) => [frame.sopInstanceUid, frame.frame])).toEqual([
      ['2.1', 2],
      ['1.2', 1],
    ])
    expect(keyImageSet([], sets)).toBeUndefined()
  })
})

describe('reading a Key Object Selection', () => {
  it('tells title, description and the pictures with their frames', () => {
    const concept = (code: string, meaning: string) => ({ Value: [{ '00080100': { Value: [code] }, '00080104': { Value: [meaning] } }] })
    const note = readKeyObject({
      '00080016': { Value: ['1.2.840.10008.5.1.4.1.1.88.59'] },
      '00080018': { Value: ['9.1'] },
      '0040A043': concept('113000', 'Of Interest'),
      '0040A730': {
        Value: [
          { '0040A040': { Value: ['TEXT'] }, '0040A043': concept('113012', 'Key Object Description'), '0040A160': { Value: ['右下叶'] } },
          { '0040A040': { Value: ['IMAGE'] }, '00081199': { Value: [{ '00081155': { Value: ['1.1'] } }] } },
          { '0040A040': { Value: ['IMAGE'] }, '00081199': { Value: [{ '00081155': { Value: ['2.1'] }, '00081160': { Value: [2, 5] } }] } },
        ],
      },
    })
    expect(note).toEqual({
      sopInstanceUid: '9.1',
      title: 'Of Interest',
      description: '右下叶',
      images: [{ sopInstanceUid: '1.1' }, { sopInstanceUid: '2.1', frame: 2 }, { sopInstanceUid: '2.1', frame: 5 }],
    })
    expect(isKeyObject({ '00080016': { Value: ['1.2.840.10008.5.1.4.1.1.2'] } })).toBe(false)
  })
})
