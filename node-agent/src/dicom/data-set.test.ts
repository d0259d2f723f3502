import { describe, expect, it } from 'vitest'
import { anElement, itemsAt, readDataSet, textAt, writeDataSet } from './data-set.ts'
import { buildDataset } from './dataset.builder.ts'
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts'

describe('a small data set', () => {
  const item = [
    anElement('SpecificCharacterSet', 'GB18030'),
    anElement('PatientName', 'Wang^XiaoDong=王^小东'),
    anElement('Rows', '512'),
    anElement('ScheduledProcedureStepSequence', [
      [anElement('ScheduledStationAETitle', 'CT01'), anElement('ScheduledProtocolCodeSequence', [[anElement('CodeMeaning', '胸部平扫')], []])],
      [anElement('ScheduledStationAETitle', 'CT02')],
    ]),
    anElement('FrameIncrementPointer', '00181063'),
  ]

  // ARC-15, ARC-05
  it.each([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])('is read as it was written, with its sequences, in %s', (syntax) => {
    const read = readDataSet(writeDataSet(item, syntax, 'GB18030'), syntax)
    expect(textAt(read, 'PatientName')).toBe('Wang^XiaoDong=王^小东')
    expect(textAt(read, 'Rows')).toBe('512')
    expect(textAt(read, 'FrameIncrementPointer')).toBe('00181063')
    const steps = itemsAt(read, 'ScheduledProcedureStepSequence')
    expect(steps.map((step) => textAt(step, 'ScheduledStationAETitle'))).toEqual(['CT01', 'CT02'])
    const codes = itemsAt(steps[0] ?? [], 'ScheduledProtocolCodeSequence')
    expect(codes.map((code) => textAt(code, 'CodeMeaning'))).toEqual(['胸部平扫', ''])
  })

  it('is the same bytes as another writer makes of its elements', () => {
    expect(writeDataSet([anElement('PatientID', 'P1'), anElement('StudyInstanceUID', '1.2.3')], EXPLICIT_LE, 'ISO_IR 192')).toEqual(
      buildDataset({ PatientID: 'P1', StudyInstanceUID: '1.2.3' }),
    )
  })
})
