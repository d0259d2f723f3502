import { Buffer } from 'node:buffer'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aSlice, send, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { buildDataset, buildFile, type BuiltDataset, type BuildOptions } from '../dicom/dataset.builder.ts'
import { keywordOf } from '../dicom/dictionary.ts'
import { readFrame } from '../dicom/frames.ts'
import { readHeader } from '../dicom/read-metadata.ts'
import { rewrittenFile } from '../dicom/rewritten-file.ts'
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import { writeFileMeta } from '../dicom/file-meta.ts'
import { profileTable } from './confidentiality-profile.ts'
import { IdentifyingWords } from './identifying-words.ts'
import { pseudonymising, type Pseudonymity } from './pseudonymise.ts'

let stored: TestArchive
let arrived: TestArchive
beforeEach(async () => ([stored, arrived] = [await testArchive(), await testArchive()]))
afterEach(async () => Promise.all([stored.close(), arrived.close()]))

const someone = (changes: Partial<Pseudonymity> = {}): Pseudonymity => ({
  patient: 'PAT-000123',
  exam: 'ST-000045',
  uid: (original) => `2.25.9${original.replaceAll('.', '')}`,
  dates: { kind: 'shifted', days: -10 },
  characteristics: true,
  words: new IdentifyingWords(),
  ...changes,
})

/** Written by us, read by an archive that has never seen the original. */
async function pseudonymised(dataset: BuiltDataset, { file, ...changes }: Partial<Pseudonymity> & { file?: Buffer } = {}, options: BuildOptions = {}) {
  const { sopInstanceUid, sopClassUid } = await send(stored.archive, file ?? buildFile(dataset, options))
  const original = await stored.archive.open(sopInstanceUid)
  const pseudonymity = someone(changes)
  const chunks: Buffer[] = []
  for await (const chunk of rewrittenFile(original, pseudonymising(pseudonymity), { sopClassUid, sopInstanceUid: pseudonymity.uid(sopInstanceUid) })) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const receipt = await send(arrived.archive, bytes)
  const kept = await arrived.archive.open(receipt.sopInstanceUid)
  return { bytes, header: await readHeader(kept), kept, original }
}
type Header = Awaited<ReturnType<typeof readHeader>>
const valueOf = (header: Header, tag: string) => header[tag]?.Value?.[0]

const spoken: BuiltDataset = {
  SOPInstanceUID: '2.25.555.1',
  PatientName: 'Zhang^XiuLan=张^秀兰',
  PatientID: 'YX0031846',
  PatientBirthDate: '19610412',
  AccessionNumber: 'CT20260301007',
  ReferringPhysicianName: 'Wang^Jianguo',
  InstitutionName: '云溪县人民医院',
  OtherPatientIDs: '110105194912310021',
  StudyDescription: '胸部平扫 张秀兰',
  ProtocolName: 'Chest ZHANG XiuLan',
  ImageComments: 'tel 13812348888',
  // Where no table expects a name:
  BodyPartExamined: 'XIULAN',
  ConvolutionKernel: 'YX0031846',
  AcquisitionNumber: '1',
  DerivationDescription: '张秀兰',
  CommentsOnThePerformedProcedureStep: 'Wang Jianguo',
  '00091010:LO': 'Zhang^XiuLan',
  PatientBirthDateInAlternativeCalendar: '辛丑年二月廿七',
  EncryptedAttributesSequence: [{ EncryptedContent: Buffer.from('Zhang^XiuLan') }],
  WaveformSequence: [{ 'WaveformData:OW': Buffer.from('Zhang^XiuLan') }],
  '00090010:LO': 'ACME',
  '00091011:DA': '20260301',
  '00091012:UI': '2.25.777',
  '00091013:PN': 'Zhang^XiuLan',
  '60003000:OW': Buffer.from('Zhang XiuLan'),
  '60000010:US': 2,
  '00189999:LO': 'Zhang XiuLan',
  RequestAttributesSequence: [{ RequestedProcedureID: 'CT20260301007', ScheduledProcedureStepDescription: '张秀兰' }],
  ReferencedImageSequence: [{ ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', ReferencedSOPInstanceUID: '2.25.777', PatientName: 'Zhang^XiuLan' } as BuiltDataset],
  SeriesDate: '20260301',
  AcquisitionDateTime: '20260301101500.250',
}
const secrets = ['辛丑', 'Zhang', 'zhang', 'XiuLan', 'XIULAN', '张', '秀兰', 'YX0031846', '19610412', 'CT20260301007', 'Jianguo', '云溪县', '110105194912310021', '13812348888', '2.25.555', '2.25.777', '2.25.11', '20260301']

describe('a pseudonymous file', () => {
  it.each([
    ['implicit little endian', IMPLICIT_LE, true],
    ['explicit little endian', EXPLICIT_LE, false],
    ['explicit big endian', EXPLICIT_BE, true],
  ])('holds nothing of the patient, and the same pixels, in %s', async (_name, transferSyntaxUid, undefinedLengths) => {
    // SEC-06, SEC-10
    const { bytes, header, kept, original } = await pseudonymised(aSlice(spoken), {}, { transferSyntaxUid, undefinedLengths })
    for (const secret of secrets) expect(bytes.includes(secret), secret).toBe(false)
    expect(kept.transferSyntaxUid).toBe(transferSyntaxUid)
    expect((await readFrame(kept, 1)).bytes).toEqual((await readFrame(original, 1)).bytes)
    expect(header['00100010']?.Value).toEqual([{ Alphabetic: 'PAT-000123' }])
    expect(['00100020', '00080050', '00120062', '00100040', '00101010', '00080020', '00080021', '0008002A', '0020000D', '00280303'].map((tag) => valueOf(header, tag))).toEqual(
      ['PAT-000123', 'ST-000045', 'YES', 'M', '060Y', '20260219', '20260219', '20260219101500.250', '2.25.92251', 'MODIFIED'],
    ) // prettier-ignore
    expect((header['00120064']?.Value as Header[]).map((item) => valueOf(item, '00080100'))).toEqual(['113100', '113107', '113108'])
    const [reference] = header['00081140']?.Value as Header[]
    expect([valueOf(reference!, '00081150'), valueOf(reference!, '00081155'), reference?.['00100010']?.Value ?? []]).toEqual(['1.2.840.10008.5.1.4.1.1.2', '2.25.9225777', []])
    for (const gone of ['00090010', '00091010', '00091011', '00091012', '00091013', '60003000', '60000010', '00189999', '00400275', '00081030', '00204000', '00100033', '04000500', '54000100']) expect(header[gone], gone).toBeUndefined()
    expect([valueOf(header, '00180015'), valueOf(header, '00200012'), valueOf(header, '00280010')]).toEqual(['REMOVED', 1, 2])
  })

  it('is deflated again when it came so', async () => {
    const dataset = buildDataset(aSlice(spoken))
    const meta = writeFileMeta({ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.555.1', transferSyntaxUid: DEFLATED_LE })
    const { bytes, kept, original } = await pseudonymised({}, { file: Buffer.concat([meta, deflateRawSync(dataset)]) })
    const inflated = inflateRawSync(bytes.subarray(kept.datasetOffset))
    for (const secret of secrets) expect(inflated.includes(secret), secret).toBe(false)
    expect([kept.transferSyntaxUid, bytes.length % 2]).toEqual([DEFLATED_LE, 0])
    expect((await readFrame(kept, 1)).bytes).toEqual((await readFrame(original, 1)).bytes)
  })

  it('keeps fragments as they are, and nothing that follows them', async () => {
    const fragments = [Buffer.alloc(0), Buffer.from([0xff, 0xd8, 1, 2, 3, 4]), Buffer.from([0xff, 0xd8, 5, 6])]
    const changes = { NumberOfFrames: '2', PixelData: { fragments }, 'FFFCFFFC:OB': Buffer.from('Zhang XiuLan') }
    const { bytes, kept } = await pseudonymised(aSlice({ ...spoken, ...changes }), {}, { transferSyntaxUid: '1.2.840.10008.1.2.4.50' })
    expect(bytes.includes('Zhang')).toBe(false)
    expect([(await readFrame(kept, 1)).bytes, (await readFrame(kept, 2)).bytes]).toEqual([fragments[1], fragments[2]])
  })

  it('keeps dates or takes them out, as asked', async () => {
    const kept = await pseudonymised(aSlice(spoken), { dates: { kind: 'kept' }, characteristics: false })
    expect([valueOf(kept.header, '00080020'), valueOf(kept.header, '00280303'), kept.header['00101010'], kept.header['00100040']?.Value]).toEqual(['20260301', 'UNMODIFIED', undefined, undefined])
    const removed = await pseudonymised(aSlice({ ...spoken, SOPInstanceUID: '2.25.555.2' }), { dates: { kind: 'removed' }, uid: (uid) => `2.25.8${uid.replaceAll('.', '')}` })
    expect([valueOf(removed.header, '00080020'), valueOf(removed.header, '00080021'), valueOf(removed.header, '0008002A'), valueOf(removed.header, '00280303')]).toEqual([undefined, '19000101', '19000101000000', 'REMOVED'])
    expect(removed.bytes.includes('20260')).toBe(false)
  })

  it('finds a name that only the register knows', async () => {
    const words = new IdentifyingWords()
    words.addName('欧阳小明')
    const { header } = await pseudonymised(aSlice({ BodyPartExamined: 'CHEST', ContentLabel: '欧阳小明', ConvolutionKernel: 'B30f' }), { words })
    expect([valueOf(header, '00700080'), valueOf(header, '00180015'), valueOf(header, '00181210')]).toEqual(['REMOVED', 'CHEST', 'B30f'])
  })
})

describe('the table of the profile', () => {
  it('names attributes that exist', () => {
    const unknown = [...profileTable.keys()].filter((tag) => keywordOf(tag) === undefined && tag !== 0xfffafffa)
    expect(unknown.map((tag) => tag.toString(16))).toEqual([])
    expect(profileTable.size).toBeGreaterThan(550)
  })
})

describe('words that point at somebody', () => {
  const words = new IdentifyingWords()
  words.addName('Li^Na=李^娜')
  words.addName('Mary^Jane')
  words.addCode('0031846')
  it.each(['LI NA', 'na li', '患者李娜', '李 娜', 'Ms. Lina', 'MARY', 'id:0031846', '00-31846'])('are found in %s', (text) => expect(words.isIn(text)).toBe(true))
  it.each(['PRIMARY\\ORIGINAL', 'LUNG', 'Linac', '李', 'NASAL', '1846', ''])('are not found in %s', (text) => expect(words.isIn(text)).toBe(false))
})
