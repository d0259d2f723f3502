import { describe, expect, it } from 'vitest'
import { SopInstanceUid } from 'specs'
import { aManifestRow } from './builders.ts'
import { PieceQueue } from './piece-queue.ts'

const rows = [aManifestRow(1, 100), aManifestRow(2, 250), aManifestRow(3, 80)]
const uid = (number: number) => SopInstanceUid.parse(`1.2.3.1.1.${number}`)
const aQueue = (held: number[] = [], partial: [number, number][] = []) =>
  new PieceQueue(rows, {
    pieceBytes: 100,
    held: new Set(held.map(uid)),
    partial: new Map(partial.map(([number, bytes]) => [uid(number), bytes])),
  })
const takeAll = (queue: PieceQueue) => {
  const taken: string[] = []
  for (let piece = queue.next(); piece; piece = queue.next()) taken.push(`${piece.row.instanceNumber}:${piece.offset}+${piece.length}`)
  return taken
}

describe('the order in which pieces are asked for', () => {
  it('follows the manifest, large instances in several pieces', () => {
    expect(takeAll(aQueue())).toEqual(['1:0+100', '2:0+100', '2:100+100', '2:200+50', '3:0+80'])
  })
  it('goes on at the instance and byte where an earlier run stopped', () => {
    // AGT-16
    expect(takeAll(aQueue([1], [[2, 130]]))).toEqual(['2:130+100', '2:230+20', '3:0+80'])
  })
  it('lets an instance that somebody waits for jump the queue, also in the middle of a large one', () => {
    const queue = aQueue()
    queue.next()
    queue.next()
    queue.urge(uid(3))
    expect(takeAll(queue)).toEqual(['3:0+80', '2:100+100', '2:200+50'])
  })
  it('serves the newest wish first and forgets wishes for what is there', () => {
    const queue = aQueue([1])
    queue.urge(uid(2))
    queue.urge(uid(3))
    queue.urge(uid(1))
    expect(takeAll(queue)).toEqual(['3:0+80', '2:0+100', '2:100+100', '2:200+50'])
  })
})

describe('an instance that differs from the manifest', () => {
  it('is fetched again twice and then given up, while the others go on', () => {
    const queue = aQueue()
    takeAll(queue)
    expect(queue.mismatch(uid(1))).toBe('again')
    expect(takeAll(queue)).toEqual(['1:0+100'])
    expect(queue.mismatch(uid(1))).toBe('again')
    expect(takeAll(queue)).toEqual(['1:0+100'])
    expect(queue.mismatch(uid(1))).toBe('failed')
    expect(takeAll(queue)).toEqual([])
    queue.held(uid(2))
    queue.held(uid(3))
    expect(queue.counts()).toEqual({ heldInstances: 2, heldBytes: 330, failed: 1, total: 3, totalBytes: 430 })
  })
  it('drops answers to its earlier attempt', () => {
    const queue = aQueue()
    const old = queue.next()
    queue.restart(uid(1), 0)
    expect(old && queue.isCurrent(old)).toBe(false)
  })
})
