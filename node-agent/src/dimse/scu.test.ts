import { describe, expect, it } from 'vitest'
import { decideDelivery } from './delivery.ts'
import { groupsOfContexts, type InstanceToSend } from './scu.ts'

const instance = (sopClassUid: string, transferSyntaxUid: string): InstanceToSend => ({
  sopClassUid,
  sopInstanceUid: '1.2.3',
  transferSyntaxUid,
  open: () => Promise.reject(new Error('not read')),
})

describe('sending instances', () => {
  // FED-15
  it('proposes every pair of class and stored syntax once, with an odd number each', () => {
    const [group, ...others] = groupsOfContexts([
      instance('1.1', '2.1'),
      instance('1.1', '2.2'),
      instance('1.1', '2.1'),
      instance('1.2', '2.1'),
    ])
    expect(others).toEqual([])
    expect(group?.contexts).toEqual([
      { id: 1, abstractSyntaxUid: '1.1', transferSyntaxUids: ['2.1'] },
      { id: 3, abstractSyntaxUid: '1.1', transferSyntaxUids: ['2.2'] },
      { id: 5, abstractSyntaxUid: '1.2', transferSyntaxUids: ['2.1'] },
    ])
    expect(group?.instances.map(({ context }) => context.id)).toEqual([1, 3, 1, 5])
  })

  it('opens another association when 128 contexts do not suffice', () => {
    const groups = groupsOfContexts(Array.from({ length: 200 }, (_, index) => instance(`1.${index + 1}`, '2.1')))
    expect(groups.map(({ contexts }) => contexts.length)).toEqual([128, 72])
    expect(groups[0]?.contexts.at(-1)?.id).toBe(255)
  })

  it.each([
    [0x0000, { kind: 'stored' }],
    [0xb007, { kind: 'stored', warning: 0xb007 }],
    [0x0111, { kind: 'stored', warning: 0x0111 }],
    [0xa700, { kind: 'failed', again: 'transient' }],
    [0x0110, { kind: 'failed', again: 'transient' }],
    [0xa900, { kind: 'failed', again: 'permanent' }],
    [0xc001, { kind: 'failed', again: 'permanent' }],
    [0x0122, { kind: 'failed', again: 'permanent' }],
    [undefined, { kind: 'failed', again: 'permanent' }],
  ])('takes status %s for what it says', (status, delivery) => {
    expect(decideDelivery('1.2.3', status === undefined ? {} : { status })).toMatchObject(delivery)
  })
})
