import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { KeyImage } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { send, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { buildKeyObjectSelection, readKeyObjectSelection } from '../../src/key-object/index.ts'
import { fixture, run } from './dicomweb-support.ts'

describe('a key object selection before other judges', () => {
  let test: TestArchive
  let file: string
  beforeAll(async () => {
    test = await testArchive()
    const receipts = []
    for (const name of ['us-echo/I_000002.dcm', 'us-echo/I_000003.dcm'])
      receipts.push(await send(test.archive, readFileSync(fixture(...(name.split('/') as [string, string])))))
    const [first] = receipts
    const study = first && (await test.archive.study(first.studyInstanceUid))
    if (!study) throw new Error('the study was stored')
    const keyImages = receipts.map((receipt, index) => KeyImage.parse({ ...receipt, frame: index + 1, note: `第${index + 1}幅` }))
    file = path.join(test.folder, 'key-object.dcm')
    const named = { ...study, patientName: '张^三', studyDescription: '心脏超声', studyId: study.studyId || '1' }
    writeFileSync(
      file,
      buildKeyObjectSelection({
        study: named,
        keyImages,
        author: { name: '李^主任', organisation: '澄江省立医院' },
        description: '会诊关键图像',
        at: new Date(),
      }),
    )
  })
  afterAll(() => test.close())

  it('conforms to the IOD, says dciodvfy', () => {
    // CON-18, VWR-08
    const verdict = run('dciodvfy', ['-new', file])
    expect(verdict).toContain('KeyObjectSelectionDocument')
    expect(verdict.split('\n').filter((line) => line.startsWith('Error'))).toEqual([])
  })

  it('reads as a document with its Chinese text, says DCMTK', () => {
    const text = run('dsrdump', ['+Pl', '+U8', file])
    for (const piece of ['Of Interest', '张^三', '会诊关键图像', '第1幅', '李^主任', '澄江省立医院', 'IMAGE']) expect(text).toContain(piece)
    // Two things this release of DCMTK does not check in any document; nothing else to complain of.
    const complaints = text.split('\n').filter((line) => /^[EW]:/.test(line))
    expect(complaints.filter((line) => !/VR checker does not support|template constraints not yet supported/.test(line))).toEqual([])
    expect(run('dcmdump', ['+P', '0008,0005', file])).toContain('ISO_IR 192')
  })

  it('of another maker is read as well', async () => {
    const receipt = await send(test.archive, readFileSync(fixture('key-object', 'KIN_B2.dcm')))
    const { title, keyImages } = await readKeyObjectSelection(await test.archive.open(receipt.sopInstanceUid))
    expect(title?.scheme).toBe('DCM')
    expect(keyImages.length).toBeGreaterThan(0)
    expect(keyImages.every((image) => image.studyInstanceUid.length > 0)).toBe(true)
  })
})
