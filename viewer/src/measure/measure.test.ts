import { describe, expect, it } from 'vitest'
import { formatLength, lengthBetween } from './length.ts'
import { chooseSpacing, wholeImageSpacing } from './spacing.ts'

const element = (...values: unknown[]) => ({ Value: values })
const ct = { '00080060': element('CT'), '00280030': element(0.78125, 0.5) }
const dx = { '00080060': element('DX'), '00181164': element(0.15, 0.15) }

describe('choosing the spacing to measure with', () => {
  it('uses Pixel Spacing of a CT, rows and columns apart', () => {
    // VWR-36
    expect(chooseSpacing(ct)).toEqual({ kind: 'patient', rowMm: 0.78125, columnMm: 0.5 })
  })

  it('says that a radiograph with Imager Pixel Spacing only is measured at the detector', () => {
    // VWR-36
    expect(chooseSpacing(dx)).toEqual({ kind: 'detector', rowMm: 0.15, columnMm: 0.15 })
    const copied = { ...dx, '00280030': element(0.15, 0.15) }
    expect(chooseSpacing(copied).kind).toBe('detector')
    expect(chooseSpacing({ '00080060': element('CR'), '00280030': element(0.1, 0.1) }).kind).toBe('detector')
  })

  it('trusts a calibrated radiograph', () => {
    expect(chooseSpacing({ ...dx, '00280030': element(0.13, 0.13) })).toMatchObject({ kind: 'patient', rowMm: 0.13 })
    expect(chooseSpacing({ ...dx, '00280030': element(0.15, 0.15), '00280A02': element('GEOMETRY') }).kind).toBe('patient')
  })

  it('corrects for the estimated magnification and says so', () => {
    expect(chooseSpacing({ ...dx, '00181114': element(1.5) })).toEqual({ kind: 'estimated', rowMm: 0.15 / 1.5, columnMm: 0.15 / 1.5 })
  })

  it('finds the spacing of a frame in a multi-frame image', () => {
    const measures = (mm: number) => ({ '00289110': { Value: [{ '00280030': element(mm, mm) }] } })
    const enhanced = { '00080060': element('MR'), '52009229': { Value: [measures(1)] }, '52009230': { Value: [{}, measures(2)] } }
    expect(chooseSpacing(enhanced, 1)).toMatchObject({ rowMm: 1 })
    expect(chooseSpacing(enhanced, 2)).toMatchObject({ rowMm: 2 })
  })

  it('has no millimetres where the image gives none, or zero', () => {
    // VWR-36
    expect(chooseSpacing({ '00080060': element('OT') })).toEqual({ kind: 'none' })
    expect(chooseSpacing({ '00080060': element('CT'), '00280030': element(0, 0) })).toEqual({ kind: 'none' })
    expect(wholeImageSpacing({ kind: 'none' })).toBeUndefined()
  })
})

describe('measuring a length', () => {
  it('counts millimetres along rows and columns with their own spacing', () => {
    // VWR-36
    expect(formatLength(lengthBetween([0, 0], [30, 0], chooseSpacing(ct)))).toBe('15.0 mm')
    expect(formatLength(lengthBetween([0, 0], [0, 64], chooseSpacing(ct)))).toBe('50.0 mm')
    expect(lengthBetween([10, 10], [40, 50], { kind: 'patient', rowMm: 1, columnMm: 1 })).toEqual({ value: 50, unit: 'mm' })
  })

  it('gives pixels without spacing, and a caution at the detector', () => {
    // VWR-36
    expect(formatLength(lengthBetween([0, 0], [3, 4], { kind: 'none' }))).toBe('5 px')
    expect(lengthBetween([0, 0], [100, 0], chooseSpacing(dx))).toMatchObject({ unit: 'mm', caution: 'detector' })
  })

  it('measures ultrasound inside one calibrated region only', () => {
    const us = chooseSpacing({
      '00186011': {
        Value: [
          {
            '00186012': element(1),
            '00186024': element(3),
            '00186026': element(3),
            '00186018': element(0),
            '0018601A': element(0),
            '0018601C': element(99),
            '0018601E': element(99),
            '0018602C': element(0.01),
            '0018602E': element(0.01),
          },
        ],
      },
    })
    expect(lengthBetween([10, 10], [60, 10], us)).toEqual({ value: 5, unit: 'mm' })
    expect(lengthBetween([10, 10], [150, 10], us)).toMatchObject({ unit: 'px', caution: 'outside-region' })
  })

  it('distrusts ultrasound regions that were written for a larger picture than this', () => {
    // VWR-36: 640 × 480 scaled to 320 × 240, the regions left as they were
    const region = {
      '00186012': element(1),
      '00186024': element(3),
      '00186026': element(3),
      '00186018': element(84),
      '0018601A': element(31),
      '0018601C': element(595),
      '0018601E': element(414),
      '0018602C': element(0.05),
      '0018602E': element(0.05),
    }
    const us = (rows: number, columns: number) =>
      chooseSpacing({ '00280010': element(rows), '00280011': element(columns), '00186011': { Value: [region] } })
    expect(us(480, 640).kind).toBe('region')
    expect(lengthBetween([100, 100], [200, 100], us(240, 320))).toEqual({ value: 100, unit: 'px', caution: 'uncalibrated' })
  })
})
