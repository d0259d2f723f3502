import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { InflatedScan } from './inflated-scan.ts'
import { DEFLATED_LE, transferSyntax } from './transfer-syntax.ts'

const deflated = transferSyntax(DEFLATED_LE)

/** Explicit VR little endian: (0009,1010) OB with so many bytes. */
function elementOf(bytes: Buffer): Buffer {
  const head = Buffer.from([0x09, 0x00, 0x10, 0x10, 0x4f, 0x42, 0, 0, 0, 0, 0, 0])
  head.writeUInt32LE(bytes.length, 8)
  return Buffer.concat([head, bytes])
}
async function scan(dataset: Buffer): Promise<void> {
  const scan = new InflatedScan(deflated, { element: () => false, value: () => undefined })
  const packed = deflateRawSync(dataset)
  for (let at = 0; at < packed.length; at += 65_536) await scan.push(packed.subarray(at, at + 65_536))
  await scan.end()
}

describe('a deflated dataset', () => {
  it('that grows a thousandfold is refused long before it has been unpacked', async () => { // SEC-09
    await expect(scan(elementOf(Buffer.alloc(256 * 1024 * 1024)))).rejects.toThrow(expect.objectContaining({ code: 'archive/unreadable', facts: expect.objectContaining({ reason: 'unpacks to too much' }) as unknown }))
  })

  it('of the size and kind that devices send is read', async () => {
    await expect(scan(elementOf(Buffer.concat([randomBytes(2_000_000), Buffer.alloc(70_000_000)])))).resolves.toBeUndefined()
  })
})
