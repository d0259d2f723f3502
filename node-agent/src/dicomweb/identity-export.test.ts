import { Buffer } from 'node:buffer'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it, describe } from 'vitest'
import { aSlice, send, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildDataset, buildFile } from '../dicom/dataset.builder.ts'
import { writeFileMeta } from '../dicom/file-meta.ts'
import { DEFLATED_LE } from '../dicom/transfer-syntax.ts'
import { maskedFile } from './identity-export.ts'

let test: TestArchive
beforeEach(async () => (test = await testArchive()))
afterEach(() => test.close())

const all = async (chunks: AsyncIterable<Buffer>) => {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

describe('a file that a person takes out', () => {
  it('is masked in a deflated dataset as well, and says truly how long it is', async () => {
    // SEC-06
    const dataset = buildDataset(aSlice({ PatientName: 'Zhang^XiuLan', PatientBirthDate: '19610412', PixelData: Buffer.alloc(300_000, 7), Rows: 300, Columns: 500 }))
    const meta = writeFileMeta({ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.301', transferSyntaxUid: DEFLATED_LE })
    await send(test.archive, Buffer.concat([meta, deflateRawSync(dataset)]))
    const masked = await maskedFile(await test.archive.open('2.25.301'))
    const bytes = await all(masked.stream())
    expect(bytes.length).toBe(masked.sizeBytes)
    const inflated = inflateRawSync(bytes.subarray(masked.datasetOffset))
    expect([inflated.length, inflated.includes('Zhang^X***'), inflated.includes('XiuLan'), inflated.includes('19610412')]).toEqual([dataset.length, true, false, false])
    expect(inflated.subarray(-300_000).equals(dataset.subarray(-300_000))).toBe(true)
    expect(await masked.read(100, 60)).toEqual(bytes.subarray(100, 160))
    expect(await all(masked.stream({ start: 130, end: 400 }))).toEqual(bytes.subarray(130, 400))
  })
  it('does not carry an identity card as the patient number', async () => {
    await send(test.archive, buildFile(aSlice({ PatientID: '11010519491231002X' })))
    const bytes = await all((await maskedFile(await test.archive.open('2.25.301'))).stream())
    expect([bytes.includes('110105********002X'), bytes.includes('19491231')]).toEqual([true, false])
  })
})
