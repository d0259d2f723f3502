import { describe, expect, it } from 'vitest'
import type { ConsultDetail } from 'specs'
import { timelineOf } from './event-text.ts'

describe('time line of a consultation', () => {
  it('tells who acted, at which hospital and when, in the order of the hub', () => {
    // CON-20
    const event = (revision: number, type: string, by: object, rest: object = {}) => ({
      taskId: 't',
      revision,
      type,
      by,
      at: revision * 10,
      ...rest,
    })
    const task = {
      hospitalNames: { a: '云溪县人民医院', c: '澄江省立医院' },
      events: [
        event(2, 'claimed', { hospitalId: 'c', name: '李专家' }),
        event(1, 'submitted', { hospitalId: 'a', name: '王医生' }),
        event(3, 'images-arrived', { hospitalId: 'c', name: 'agent', agent: true }, { instanceCount: 75 }),
      ],
    } as unknown as Pick<ConsultDetail, 'events' | 'hospitalNames'>
    expect(timelineOf(task).map((step) => [step.type, step.who, step.where, step.at, step.note])).toEqual([
      ['submitted', '王医生', '云溪县人民医院', 10, ''],
      ['claimed', '李专家', '澄江省立医院', 20, ''],
      ['images-arrived', '', '澄江省立医院', 30, '75'],
    ])
  })
})
