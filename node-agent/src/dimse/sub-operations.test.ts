import { Problem } from 'specs'
import { describe, expect, it } from 'vitest'
import { readDataSet, textAt } from '../dicom/data-set.ts'
import { EXPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { type Delivery } from './delivery.ts'
import { SubOperations } from './sub-operations.ts'

const stored = (n: number, warning?: number): Delivery => ({ kind: 'stored', sopInstanceUid: `1.2.${n}`, ...(warning !== undefined && { warning }) })
const failed = (n: number): Delivery => ({ kind: 'failed', sopInstanceUid: `1.2.${n}`, again: 'permanent', problem: new Problem('dimse/not-accepted') })

function after(total: number, deliveries: readonly Delivery[]): SubOperations {
  const count = new SubOperations(total)
  for (const delivery of deliveries) count.add(delivery)
  return count
}

describe('the sub-operations of a retrieval', () => {
  // ARC-15, PS3.4 C.4.2.3.1
  it.each([
    ['all went well', [stored(1), stored(2)], 0x0000],
    ['the destination knew one already', [stored(1), stored(2, 0x0111)], 0x0000],
    ['one was coerced by the destination', [stored(1), stored(2, 0xb000)], 0xb000],
    ['one failed', [stored(1), failed(2)], 0xb000],
    ['all failed', [failed(1), failed(2)], 0xa702],
    ['there were none', [], 0x0000],
  ])('end by the status of the standard when %s', (_, deliveries, status) => {
    expect(after(deliveries.length, deliveries).final(EXPLICIT_LE).answer.status).toBe(status)
  })

  it('are counted in each pending response, and in the last without what remains', () => {
    const count = after(5, [stored(1), stored(2, 0xb000), failed(3)])
    expect(count.pending().command).toEqual({
      numberOfRemainingSuboperations: 2,
      numberOfCompletedSuboperations: 1,
      numberOfWarningSuboperations: 1,
      numberOfFailedSuboperations: 1,
    })
    expect(count.final(EXPLICIT_LE).command).not.toHaveProperty('numberOfRemainingSuboperations')
  })

  it('tell what remains when they were cancelled, unless nothing does', () => {
    expect(after(5, [stored(1)]).final(EXPLICIT_LE, { cancelled: true })).toMatchObject({ answer: { status: 0xfe00 }, command: { numberOfRemainingSuboperations: 4 } })
    expect(after(1, [stored(1)]).final(EXPLICIT_LE, { cancelled: true }).answer.status).toBe(0)
  })

  it('name what failed, as far as the list can be told', () => {
    const list = (deliveries: readonly Delivery[]) => {
      const { dataset } = after(deliveries.length, deliveries).final(EXPLICIT_LE)
      return dataset ? textAt(readDataSet(dataset, EXPLICIT_LE), 'FailedSOPInstanceUIDList').split('\\') : []
    }
    expect(list([stored(1), failed(2), failed(3)])).toEqual(['1.2.2', '1.2.3'])
    const long = list(Array.from({ length: 20_000 }, (_, n) => failed(n + 10_000)))
    expect(long.length).toBeGreaterThan(6_000)
    expect(long.at(-1)).toMatch(/^1\.2\.\d{5}$/) // cut between two, not within one
  })

  it('stay within sixteen bits', () => {
    expect(after(100_000, [stored(1)]).pending().command?.numberOfRemainingSuboperations).toBe(0xffff)
  })
})
