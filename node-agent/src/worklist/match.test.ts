import { AeTitle } from 'specs'
import { describe, expect, it } from 'vitest'
import { anElement, type DataItem, elementOf, itemsAt, textAt } from '../dicom/data-set.ts'
import { aWorklistItem } from './worklist.builder.ts'
import { dataSetOf, decideState } from './item.ts'
import { answerTo, keysOf, matches } from './match.ts'

const item = dataSetOf(aWorklistItem({ patientName: 'Zhang^SanFeng=张^三丰', modality: 'CT', scheduledStationAeTitle: AeTitle.parse('CT01'), startDate: '2026-11-22', startTime: '09:30', performingPhysician: '王伟', accessionNumber: 'A100' }))
const step = (elements: DataItem): DataItem => [anElement('ScheduledProcedureStepSequence', [elements])]
const found = (identifier: DataItem) => matches(item, keysOf(identifier, item).keys)

describe('a worklist item is found', () => {
  // PS3.4 K.4.1.1.3
  it.each([
    ['without any key', [], true],
    ['by its modality', step([anElement('Modality', 'CT')]), true],
    ['not by another modality', step([anElement('Modality', 'MR')]), false],
    ['by the AE title of its device', step([anElement('ScheduledStationAETitle', 'CT01')]), true],
    ['by a wildcard in it', step([anElement('ScheduledStationAETitle', 'CT*')]), true],
    ['by its day', step([anElement('ScheduledProcedureStepStartDate', '20261122')]), true],
    ['within a range of days', step([anElement('ScheduledProcedureStepStartDate', '20261120-20261122')]), true],
    ['not after it', step([anElement('ScheduledProcedureStepStartDate', '20261123-')]), false],
    ['by its physician', step([anElement('ScheduledPerformingPhysicianName', '王*')]), true],
    ['by the patient’s Latin name, upper case or lower', [anElement('PatientName', 'zhang*')], true],
    ['by the patient’s Chinese name', [anElement('PatientName', '张^三丰')], true],
    ['by accession number', [anElement('AccessionNumber', 'A100')], true],
    ['not when only one of two keys fits', [anElement('AccessionNumber', 'A100'), ...step([anElement('Modality', 'MR')])], false],
  ] as const)('%s', (_how, identifier, expected) => {
    expect(found(identifier)).toBe(expected)
  })

  it('within a span from one day’s hour to another’s, not within those hours of each day', () => {
    const between = (days: string, hours: string) => found(step([anElement('ScheduledProcedureStepStartDate', days), anElement('ScheduledProcedureStepStartTime', hours)]))
    expect(between('20261121-20261123', '220000-060000')).toBe(true)
    expect(between('20261122-20261122', '080000-093000')).toBe(true)
    expect(between('20261122-20261122', '093001-120000')).toBe(false)
    expect(between('20261122', '0930')).toBe(true)
  })

  it('and a key that we do not know matches everything, and is told', () => {
    const asked = keysOf([anElement('PatientName', ''), anElement('EthnicGroup', 'HAN')], item)
    expect(asked).toEqual({ keys: [], unsupported: true })
  })
})

describe('the answer holds', () => {
  it('what was asked for, and nothing else', () => {
    const answer = answerTo([anElement('PatientName', ''), anElement('EthnicGroup', ''), ...step([anElement('Modality', ''), anElement('ScheduledProcedureStepID', '')])], item)
    expect(answer.map(({ tag }) => tag.toString(16))).toEqual(['100010', '102160', '400100'])
    expect(textAt(answer, 'PatientName')).toBe('Zhang^SanFeng=张^三丰')
    expect(elementOf(answer, 'EthnicGroup')?.text).toBe('')
    expect(itemsAt(answer, 'ScheduledProcedureStepSequence')[0]).toHaveLength(2)
  })

  it('the whole of a sequence that was asked for without saying of what', () => {
    for (const asked of [anElement('ScheduledProcedureStepSequence', []), anElement('ScheduledProcedureStepSequence', [[]])])
      expect(itemsAt(answerTo([asked], item), 'ScheduledProcedureStepSequence')[0]?.length).toBeGreaterThan(10)
  })
})

describe('a scheduled step', () => {
  it.each([
    ['is to be done while no device has begun', false, [], 'scheduled'],
    ['has started with the first device', false, ['IN PROGRESS'], 'started'],
    ['is done when one is done', false, ['DISCONTINUED', 'COMPLETED'], 'completed'],
    ['is to be done again when it was only broken off', false, ['DISCONTINUED'], 'scheduled'],
    ['stays cancelled', true, [], 'cancelled'],
    ['was done although it was cancelled, if a device says so', true, ['COMPLETED'], 'completed'],
  ] as const)('%s', (_how, cancelled, performed, expected) => {
    expect(decideState(cancelled, performed)).toBe(expected)
  })
})
