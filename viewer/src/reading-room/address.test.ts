import { describe, expect, it } from 'vitest'
import { parseAddress } from './address.ts'

describe('address of the viewer', () => {
  it('names the study, and what else it was opened for', () => {
    expect(parseAddress('?study=1.2.3&task=3f2d9c52-6c2e-4a54-9d2f-0c1f6a5f7a10&series=1.2.3.4')).toEqual({
      study: '1.2.3',
      task: '3f2d9c52-6c2e-4a54-9d2f-0c1f6a5f7a10',
      series: '1.2.3.4',
      instance: undefined,
    })
  })

  it('opens nothing for a study that is no UID', () => {
    expect(parseAddress('?study=../../etc')).toBeUndefined()
    expect(parseAddress('')).toBeUndefined()
  })

  it('opens the images without a task when the task is crooked', () => {
    expect(parseAddress('?study=1.2&task=x')).toMatchObject({ study: '1.2', task: undefined })
  })
})
