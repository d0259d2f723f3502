import { describe, expect, it } from 'vitest'
import { moved, parseColumns, toggled, usualColumns } from './columns.ts'

describe('columns of the study list', () => {
  it('are shown, hidden and moved, and one always stays', () => {
    // ARC-16
    expect(toggled(['patient', 'time'], 'size')).toEqual(['patient', 'time', 'size'])
    expect(toggled(['patient', 'time'], 'patient')).toEqual(['time'])
    expect(toggled(['time'], 'time')).toEqual(['time'])
    expect(moved(['patient', 'time', 'size'], 'size', -1)).toEqual(['patient', 'size', 'time'])
    expect(moved(['patient', 'time'], 'patient', -1)).toEqual(['patient', 'time'])
    expect(moved(['patient', 'time'], 'time', 1)).toEqual(['patient', 'time'])
  })

  it('are kept, and what is not understood gives the usual ones', () => {
    expect(parseColumns('["time","patient","time","unheard-of"]')).toEqual(['time', 'patient'])
    for (const broken of [null, '', '{', '7', '["unheard-of"]']) expect(parseColumns(broken)).toEqual(usualColumns)
  })
})
