import { describe, expect, it } from 'vitest'
import { number, numbers, personName, tags, text } from './dataset.ts'

const dataset = {
  [tags.patientName]: { vr: 'PN', Value: [{ Alphabetic: 'Zhang^San', Ideographic: '张^三' }] },
  [tags.windowWidth]: { vr: 'DS', Value: ['02000', 350] },
  [tags.pixelSpacing]: { vr: 'DS', Value: [0.78125, '0.78125'] },
  [tags.modality]: { vr: 'CS', Value: ['CT '] },
  [tags.sliceThickness]: { vr: 'DS' },
}

describe('reading DICOM JSON', () => {
  it('shows a Chinese patient by the ideographic name', () => {
    expect(personName(dataset, tags.patientName)).toBe('张三')
    expect(personName({ [tags.patientName]: { Value: [{ Alphabetic: 'DOE^John' }] } }, tags.patientName)).toBe('DOE John')
    expect(personName({}, tags.patientName)).toBe('')
  })

  it('takes numbers that a device wrote as text', () => {
    expect(number(dataset, tags.windowWidth)).toBe(2000)
    expect(number(dataset, tags.windowWidth, 1)).toBe(350)
    expect(numbers(dataset, tags.pixelSpacing, 2)).toEqual([0.78125, 0.78125])
  })

  it('answers nothing, not zero, for an empty or absent element', () => {
    expect(number(dataset, tags.sliceThickness)).toBeUndefined()
    expect(numbers(dataset, tags.imageOrientation, 6)).toBeUndefined()
    expect(text(dataset, tags.seriesDescription)).toBe('')
    expect(text(dataset, tags.modality)).toBe('CT')
  })
})
