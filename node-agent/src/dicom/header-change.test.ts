import { Buffer } from 'node:buffer'
import { deflateRawSync, gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aSlice, send, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildFile, type BuildOptions, type BuiltDataset } from './dataset.builder.ts'
import { tagOf } from './dictionary.ts'
import { changedFile, type HeaderChange } from './header-change.ts'
import { readHeader } from './header-reading.ts'
import { DEFLATED_LE, EXPLICIT_BE, IMPLICIT_LE } from './transfer-syntax.ts'

/** A data set in DICOM JSON (PS3.18 F). */
interface Tree {
  readonly [tag: string]: { readonly Value?: readonly (Tree & string)[]; readonly InlineBinary?: string }
}

const gbk = (hex: string) => Buffer.from(hex, 'hex')
const values = (texts: Record<string, string>) => new Map(Object.entries(texts).map(([keyword, text]) => [tagOf(keyword) ?? 0, text]))
const aChange = (texts: Record<string, string>, change: Partial<HeaderChange> = {}): HeaderChange => ({ values: values(texts), reason: 'CORRECT', by: 'wang', source: 'CT1', at: Date.UTC(2026, 2, 1, 8), ...change })

describe('changing values of a header', () => {
  let test: TestArchive
  beforeEach(async () => {
    test = await testArchive()
  })
  afterEach(() => test.close())

  /** Stores a dataset, changes its header in place and reads it again. */
  async function changed(dataset: BuiltDataset, change: HeaderChange, options: BuildOptions = {}) {
    await send(test.archive, buildFile(dataset, options))
    const changes: unknown[] = []
    const result = await test.archive.rewriteStudy('2.25.1', { peer: 'wang', reason: 'correction', keepPrevious: true }, async (file) => {
      const made = changedFile(file, await readHeader(file), change)
      changes.push(...(made?.changes ?? []))
      return made?.content
    })
    const file = await test.archive.open('2.25.301')
    const [metadata] = JSON.parse(gunzipSync(await test.archive.seriesMetadata('2.25.1', '2.25.11')).toString()) as Tree[]
    const index = file.frameIndex
    const pixels = index.kind === 'native' && !index.inflated ? await file.read(index.offset, index.length) : undefined
    return { result, changes, metadata: metadata!, pixels, header: await readHeader(file) }
  }
  const modified = (metadata: Tree, item = 0): Tree => metadata['04000561']?.Value?.[item]?.['04000550']?.Value?.[0] ?? {}

  it.each([
    ['explicit VR little endian', {}],
    ['implicit VR', { transferSyntaxUid: IMPLICIT_LE }],
    ['big endian', { transferSyntaxUid: EXPLICIT_BE }],
    ['sequences of undefined length', { undefinedLengths: true }],
  ] as const)('in %s puts in the new ones, keeps the former ones beside them and leaves the pixels', async (_name, options) => {
    // ARC-21
    const { metadata, pixels, changes } = await changed(
      aSlice({ RequestAttributesSequence: [{ ScheduledProcedureStepDescription: '胸部' }] }),
      aChange({ PatientName: 'Li^Si=李^四', PatientID: 'P9', PatientSex: 'M' }),
      options,
    )
    expect(metadata['00100010']?.Value).toEqual([{ Alphabetic: 'Li^Si', Ideographic: '李^四' }])
    expect(metadata['00100020']?.Value).toEqual(['P9'])
    expect(modified(metadata)['00100010']?.Value).toEqual([{ Alphabetic: 'Zhang^San', Ideographic: '张^三' }])
    expect(modified(metadata)['00100020']?.Value).toEqual(['P1'])
    // What stays is not told as changed.
    expect(modified(metadata)['00100040']).toBeUndefined()
    expect(metadata['04000561']?.Value?.[0]).toMatchObject({ '04000563': { Value: ['LIANPIAN wang'] }, '04000564': { Value: ['CT1'] }, '04000565': { Value: ['CORRECT'] }, '04000562': { Value: ['20260301080000.000000+0000'] } })
    expect(changes).toEqual([
      { attribute: 'PatientName', from: 'Zhang^San=张^三', to: 'Li^Si=李^四' },
      { attribute: 'PatientID', from: 'P1', to: 'P9' },
    ])
    expect(metadata['00400275']?.Value?.[0]?.['00400007']?.Value).toEqual(['胸部'])
    expect(pixels).toEqual(Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]))
  })

  it('in a deflated file as well', async () => {
    const plain = buildFile(aSlice(), { transferSyntaxUid: DEFLATED_LE })
    const meta = buildFile({ SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', SOPInstanceUID: '2.25.301' }, { transferSyntaxUid: DEFLATED_LE })
    const datasetAt = plain.indexOf(Buffer.from([0x08, 0, 0x05, 0, 0x43, 0x53]))
    expect(meta.length).toBeGreaterThan(datasetAt)
    await send(test.archive, Buffer.concat([plain.subarray(0, datasetAt), deflateRawSync(plain.subarray(datasetAt))]))
    await test.archive.rewriteStudy('2.25.1', { peer: 'w', reason: 'correction', keepPrevious: false }, async (file) => changedFile(file, await readHeader(file), aChange({ PatientID: 'P9' }))?.content)
    expect(await test.archive.study('2.25.1')).toMatchObject({ patientId: 'P9', patientName: 'Zhang^San=张^三' })
  })

  it('puts a second change behind the first', async () => {
    await changed(aSlice(), aChange({ PatientID: 'P9' }))
    await test.archive.rewriteStudy('2.25.1', { peer: 'li', reason: 'correction', keepPrevious: true }, async (file) => changedFile(file, await readHeader(file), aChange({ PatientID: 'P10' }, { by: 'li' }))?.content)
    const [metadata] = JSON.parse(gunzipSync(await test.archive.seriesMetadata('2.25.1', '2.25.11')).toString()) as Tree[]
    expect([modified(metadata!, 0)['00100020']?.Value, modified(metadata!, 1)['00100020']?.Value]).toEqual([['P1'], ['P9']])
  })

  it('writes Chinese into a Latin file by making all of it UTF-8', async () => {
    const { metadata } = await changed(
      aSlice({ SpecificCharacterSet: 'ISO_IR 100', PatientName: 'Zhang^San', StudyDescription: Buffer.from('K\xf6rper', 'latin1') }),
      aChange({ PatientName: '李^四' }),
    )
    expect(metadata['00080005']?.Value).toEqual(['ISO_IR 192'])
    expect(metadata['00081030']?.Value).toEqual(['Körper'])
    expect(JSON.stringify(metadata['00100010'])).toContain('李^四')
  })

  it('reads GBK that was declared as nothing or as Latin, at every depth but not in items with a set of their own', async () => {
    // ARC-25; 张三 and 胸部 in GBK
    for (const declared of ['ISO_IR 100', '']) {
      const { SpecificCharacterSet: _undeclared, ...undeclared } = aSlice()
      const dataset: BuiltDataset = {
        ...undeclared,
        ...(declared && { SpecificCharacterSet: declared }),
        SOPInstanceUID: '2.25.301',
        PatientName: gbk('d5c5c8fd'),
        StudyDescription: 'Chest',
        RequestAttributesSequence: [
          { ScheduledProcedureStepDescription: gbk('d0d8b2bf') } as BuiltDataset,
          { SpecificCharacterSet: 'ISO_IR 192', ScheduledProcedureStepDescription: '腹部' },
          { ScheduledProcedureStepDescription: gbk('d0d8b2bf') },
        ],
      }
      const { metadata, changes, pixels } = await changed(dataset, aChange({}, { readAs: 'GB18030', reason: 'COERCE' }))
      expect(metadata['00080005']?.Value).toEqual(['ISO_IR 192'])
      expect(JSON.stringify(metadata['00100010'])).toContain('张三')
      expect(metadata['00400275']?.Value?.map((item) => item['00400007']?.Value?.[0])).toEqual(['胸部', '腹部', '胸部'])
      expect(changes).toContainEqual({ attribute: 'SpecificCharacterSet', from: declared, to: 'ISO_IR 192' })
      expect(changes).toContainEqual({ attribute: 'PatientName', from: 'ÕÅÈý', to: '张三' })
      expect(pixels).toEqual(Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]))
      const item = metadata['04000561']?.Value?.[0]
      // Without a declared set the bytes were no text at all: they are kept as bytes.
      if (declared === '') expect(item?.['04000551']?.Value?.[0]).toMatchObject({ '00720026': { Value: ['00100010'] }, '04000552': { InlineBinary: gbk('d5c5c8fd').toString('base64') } })
      else expect(JSON.stringify(modified(metadata)['00100010'])).toContain('张三') // what a reader guesses who knows such devices
      await test.archive.delete('2.25.1')
    }
  })

  it('keeps a date that was none as bytes, and changes nothing where nothing differs', async () => {
    const { metadata } = await changed(aSlice({ PatientBirthDate: '1970.01.01' }), aChange({ PatientBirthDate: '19700101', SOPInstanceUID: '2.25.9' }))
    expect(metadata['00100030']?.Value).toEqual(['19700101'])
    expect(metadata['04000561']?.Value?.[0]?.['04000551']?.Value?.[0]).toMatchObject({ '00720026': { Value: ['00100030'] }, '04000552': { InlineBinary: Buffer.from('1970.01.01').toString('base64') } })
    const header = await readHeader(await test.archive.open('2.25.301'))
    expect(changedFile(await test.archive.open('2.25.301'), header, aChange({ PatientBirthDate: '19700101' }))).toBeUndefined()
  })
})
