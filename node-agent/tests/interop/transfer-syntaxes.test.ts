import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog } from 'service-kit'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCodecPool, type Codecs } from '../../src/dicom/render/codec-pool.ts'
import { createRenderer } from '../../src/dicom/render/renderer.ts'
import { datasetIn, fixture, run, storedDataset } from './dimse-support.ts'
import { askPydicom, fixtures } from './dicomweb-support.ts'
import { startDestination, startRetrieveService, type Destination, type RetrieveService } from './retrieve-support.ts'

// dcmsend, movescu, getscu, storescp and dcmodify of DCMTK; pydicom reads what they bring home.
let service: RetrieveService
let workstation: Destination
let codecs: Codecs
let folder: string

beforeAll(async () => {
  service = await startRetrieveService()
  workstation = await startDestination('WS01', '+xa', '+B')
  service.nodes.set('WS01', workstation.peer)
  codecs = createCodecPool({ log: createLog({ name: 'test', level: 'silent' }) })
  folder = mkdtempSync(path.join(tmpdir(), 'lianpian-syntaxes-'))
})
afterAll(async () => {
  await workstation.stop()
  await service.stop()
  await codecs.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => workstation.empty())

interface Stored {
  readonly study: string
  readonly instance: string
  readonly modality: string
}

const address = () => ['127.0.0.1', String(service.peer.port)]

/** Proposes one uncompressed syntax; dcmsend would take the one it likes best. */
const alone: Readonly<Record<string, string>> = { '1.2.840.10008.1.2': '-xi', '1.2.840.10008.1.2.1': '-xe', '1.2.840.10008.1.2.2': '-xb' }

/** Sends a file as it is; what cannot be sent so is not sent at all. */
async function sent(file: string): Promise<Stored> {
  const option = alone[datasetIn(readFileSync(file)).transferSyntaxUid]
  const { output } = option ? await run('storescu', ['-v', '-R', option, ...address(), file]) : await run('dcmsend', ['-v', '-dn', ...address(), file])
  expect(output, file).toMatch(option ? /Received Store Response \(Success\)/ : /with status SUCCESS\s*: 1/)
  const [study] = await service.archive.archive.studies()
  const [instance] = await service.archive.archive.instances(study?.studyInstanceUid)
  return { study: study?.studyInstanceUid ?? '', instance: instance?.sopInstanceUid ?? '', modality: instance?.series.modality ?? '' }
}

async function moved({ study }: Stored): Promise<Buffer> {
  const { output } = await run('movescu', ['-v', '-aet', 'WS01', '-aem', 'WS01', '-S', '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${study}`, ...address()])
  expect(output).toContain('Received Final Move Response (Success)')
  const [file = ''] = await workstation.files()
  return readFileSync(file)
}

/** From Pixel Data to the end, in either byte order. */
const pixelsIn = (dataset: Buffer): Buffer => dataset.subarray(Math.max(dataset.lastIndexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00])), dataset.lastIndexOf(Buffer.from([0x7f, 0xe0, 0x00, 0x10]))) + 12)

/** Retrieved by somebody who takes nothing compressed. */
async function got({ study }: Stored): Promise<string> {
  const home = mkdtempSync(path.join(folder, 'got-'))
  const { output } = await run('getscu', ['-v', '+xe', '+B', '-od', home, '-S', '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${study}`, ...address()])
  const [name = ''] = readdirSync(home)
  expect(name, output).not.toBe('')
  return path.join(home, name)
}

/** Not by `toEqual`: what it would print of two images takes minutes. */
function expectSame(file: Buffer, kept: { bytes: Buffer; transferSyntaxUid: string }): void {
  const { bytes, transferSyntaxUid } = datasetIn(file)
  expect(transferSyntaxUid).toBe(kept.transferSyntaxUid)
  expect(bytes.equals(kept.bytes)).toBe(true)
}

/** Shades of grey that a picture of the first frame has. */
async function shadesOf(sopInstanceUid: string): Promise<number> {
  const renderer = createRenderer({ log: createLog({ name: 'test', level: 'silent' }), codecs })
  const png = await renderer.picture(await service.archive.archive.open(sopInstanceUid), 1, { mediaType: 'image/png', quality: 90 })
  const { data } = await sharp(png).greyscale().raw().toBuffer({ resolveWithObject: true })
  return new Set(data).size
}

const j = (suffix: string) => `1.2.840.10008.1.2.4.${suffix}`
/** The twelve of ARC-03, and deflated. */
const syntaxes: readonly (readonly [uid: string, file: string])[] = [
  ['1.2.840.10008.1.2', 'CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm'],
  ['1.2.840.10008.1.2.1', 'CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm'],
  ['1.2.840.10008.1.2.1.99', 'CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm'],
  ['1.2.840.10008.1.2.2', 'CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm'],
  ['1.2.840.10008.1.2.5', 'CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm'],
  [j('50'), 'CTImage.dcm_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm'],
  [j('51'), 'CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm'],
  [j('57'), 'CTImage.dcm_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm'],
  [j('70'), 'CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm'],
  [j('80'), 'CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm'],
  [j('81'), 'CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm'],
  [j('90'), 'CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm'],
  [j('91'), 'CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm'],
]

describe('an image of each transfer syntax', () => {
  it.each(syntaxes)('%s is taken, kept byte for byte, and given as it is or decoded to its pixels', async (uid, name) => {
    // ARC-03, ARC-26
    const { decodedMd5 } = fixtures('syntaxes').find(({ path: each }) => each === `syntaxes/${name}`) ?? { decodedMd5: '' }
    const stored = await sent(fixture('syntaxes', name))
    try {
      const kept = await storedDataset(service.archive, stored.instance)
      expect(kept.transferSyntaxUid).toBe(uid)
      // DCMTK writes headers its own way before it sends; pixels it leaves alone, unless it deflates.
      if (uid !== '1.2.840.10008.1.2.1.99') expect(pixelsIn(kept.bytes).equals(pixelsIn(datasetIn(readFileSync(fixture('syntaxes', name))).bytes))).toBe(true)
      // storescp knows JPEG lossless by its first predictor only, and gets the other decoded.
      if (uid !== j('57')) expectSame(await moved(stored), kept)
      const [judged] = askPydicom('pixel_digests.py', [await got(stored)]) as { transferSyntaxUid: string; md5: string }[]
      expect(judged).toMatchObject({ transferSyntaxUid: '1.2.840.10008.1.2.1', md5: decodedMd5 })
      expect(await shadesOf(stored.instance)).toBeGreaterThan(8)
    } finally {
      await service.archive.archive.delete(stored.study)
    }
  })
})

/** Kinds of ARC-13 of which there is a sample that may be shipped. */
const kinds: readonly (readonly [modality: string, set: string, file: string])[] = [
  ['CR', 'kinds', 'CR1-6154.dcm'],
  ['DX', 'dx-small', 'dx_image.dcm'],
  ['CT', 'ct-head-tiny', 'CTHead1.dcm'],
  ['MR', 'kinds', 'MR1-15820.dcm'],
  ['PT', 'kinds', 'pet-000000.dcm'],
  ['US', 'us-rgb', 'examples_ybr_color.dcm'],
  ['US', 'us-echo', 'I_000002.dcm'],
  ['XA', 'xa-multiframe', 'jpeg_baseline_8bit.dcm'],
  ['OT', 'syntaxes-color', 'SC_rgb_jpeg_gdcm.dcm'],
  ['SM', 'kinds', 'sm_image.dcm'],
  ['OP', 'kinds', 'sample-op.dcm'],
]
/** The others are real pixels under another heading: of radiofluoroscopy, nuclear medicine, mammography, endoscopy and photographs there is none. */
const headed: readonly (readonly [modality: string, sopClassUid: string, set: string, file: string])[] = [
  ['RF', '1.2.840.10008.5.1.4.1.1.12.2', 'xa-multiframe', 'jpeg_baseline_8bit.dcm'],
  ['NM', '1.2.840.10008.5.1.4.1.1.20', 'us-palette', 'examples_palette.dcm'],
  ['MG', '1.2.840.10008.5.1.4.1.1.1.2', 'dx-small', 'dx_image.dcm'],
  ['ES', '1.2.840.10008.5.1.4.1.1.77.1.1', 'us-rgb', 'examples_rgb_color.dcm'],
  ['XC', '1.2.840.10008.5.1.4.1.1.77.1.4', 'us-rgb', 'examples_rgb_color.dcm'],
  ['IO', '1.2.840.10008.5.1.4.1.1.1.3', 'dx-small', 'dx_image.dcm'],
]

describe('a study of each kind', () => {
  // ARC-13
  it.each(kinds)('%s is stored, found, retrieved and shown (%s/%s)', (modality, set, file) => isKept(modality, fixture(set, file)))

  it.each(headed)('%s is stored, found, retrieved and shown (%s)', async (modality, sopClassUid, set, file) => {
    const copy = path.join(folder, `${modality}.dcm`)
    copyFileSync(fixture(set, file), copy)
    await run('dcmodify', ['-nb', '-gst', '-gse', '-gin', '-m', `SOPClassUID=${sopClassUid}`, '-m', `Modality=${modality}`, copy])
    await isKept(modality, copy)
  })

  async function isKept(modality: string, file: string): Promise<void> {
    const stored = await sent(file)
    try {
      expect(stored.modality).toBe(modality)
      const { output } = await run('findscu', ['-S', '-k', 'QueryRetrieveLevel=STUDY', '-k', `ModalitiesInStudy=${modality}`, '-k', 'StudyInstanceUID', ...address()])
      expect(output).toContain(stored.study)
      expectSame(await moved(stored), await storedDataset(service.archive, stored.instance))
      const [judged] = askPydicom('pixel_digests.py', [await got(stored)]) as { transferSyntaxUid: string; md5: string }[]
      expect(judged?.transferSyntaxUid).toBe('1.2.840.10008.1.2.1')
      expect(await shadesOf(stored.instance)).toBeGreaterThan(1)
    } finally {
      await service.archive.archive.delete(stored.study)
    }
  }
})
