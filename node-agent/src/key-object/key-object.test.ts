import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KeyImage } from 'specs'
import { send, sendSlice, testArchive, type TestArchive } from '../archive/archive.builder.ts'
import { sm3Hex } from 'pki'
import { buildKeyObjectSelection } from './build.ts'
import { readKeyObjectSelection } from './read.ts'

const ct = '1.2.840.10008.5.1.4.1.1.2'
const image = (sopInstanceUid: string, more: object = {}) =>
  KeyImage.parse({ studyInstanceUid: '2.25.1', seriesInstanceUid: '2.25.11', sopInstanceUid, sopClassUid: ct, ...more })

describe('a key object selection', () => {
  let test: TestArchive
  beforeAll(async () => {
    test = await testArchive()
    await sendSlice(test.archive)
  })
  afterAll(() => test.close())

  it('is filed beside the images of its study and names them again when it is read', async () => {
    // CON-18
    const study = await test.archive.study('2.25.1')
    if (!study) throw new Error('the slice was stored')
    const keyImages = [image('2.25.301', { note: '右上肺结节' }), image('2.25.302', { frame: 3 })]
    const bytes = buildKeyObjectSelection({
      study,
      keyImages,
      author: { name: '李主任', organisation: '澄江省立医院' },
      description: '会诊关键图像',
      at: new Date(2026, 2, 1, 9, 5, 7),
    })
    const receipt = await send(test.archive, bytes, { source: { kind: 'own', peer: 'consult' }, expected: { sm3: sm3Hex(bytes) } })
    expect(receipt).toMatchObject({
      studyInstanceUid: '2.25.1',
      sopClassUid: '1.2.840.10008.5.1.4.1.1.88.59',
      sm3: sm3Hex(bytes),
      sizeBytes: bytes.length,
    })
    expect(await test.archive.study('2.25.1')).toMatchObject({
      modalitiesInStudy: ['CT', 'KO'],
      patientName: 'Zhang^San=张^三',
      instanceCount: 2,
    })

    const selection = await readKeyObjectSelection(await test.archive.open(receipt.sopInstanceUid))
    expect(selection).toEqual({
      title: { value: '113000', scheme: 'DCM', meaning: 'Of Interest' },
      author: '李主任',
      description: '会诊关键图像\r\n1. 右上肺结节',
      keyImages: [image('2.25.301'), image('2.25.302', { frame: 3 })],
    })
  })

  it('cannot be empty', () => {
    const study = { studyInstanceUid: '2.25.1' } as Parameters<typeof buildKeyObjectSelection>[0]['study']
    expect(() =>
      buildKeyObjectSelection({ study, keyImages: [], author: { name: '李', organisation: '' }, description: '', at: new Date() }),
    ).toThrow(RangeError)
  })

  it('is not read out of an image', async () => {
    await expect(readKeyObjectSelection(await test.archive.open('2.25.301'))).rejects.toMatchObject({ code: 'archive/unreadable' })
  })
})
