import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog } from 'service-kit'
import { Problem } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { send, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import type { InstanceFile } from '../../src/archive/archive.ts'
import { readFrame } from '../../src/dicom/frames.ts'
import { createCodecPool, type Codecs } from '../../src/dicom/render/codec-pool.ts'
import { describePixels } from '../../src/dicom/render/pixel-description.ts'
import { losslessTargets, transcode, type TranscodeOptions } from '../../src/dicom/transcode/transcode.ts'
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, RLE, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { askPydicom, fixture, fixtures, run } from './dicomweb-support.ts'

// Needs DCMTK, GDCM, dicom3tools and pydicom of the distribution: codecs and readers that are not ours.
const j = (suffix: string) => `1.2.840.10008.1.2.4.${suffix}`
const folder = mkdtempSync(path.join(tmpdir(), 'lianpian-transcode-'))
let stored: TestArchive
let again: TestArchive
let codecs: Codecs

beforeAll(async () => {
  ;[stored, again] = [await testArchive(), await testArchive()]
  codecs = createCodecPool({ log: createLog({ name: 'test', level: 'silent' }) })
})
afterAll(async () => {
  await Promise.all([stored.close(), again.close(), codecs.close()])
  rmSync(folder, { recursive: true, force: true })
})

/** Stores a file, hands it to the body, and forgets it: fixtures share their UIDs. */
async function withStored<T>(source: string | Buffer, body: (file: InstanceFile) => Promise<T>, archive = stored): Promise<T> {
  const receipt = await send(archive.archive, typeof source === 'string' ? named(readFileSync(source)) : source)
  try {
    return await body(await archive.archive.open(receipt.sopInstanceUid))
  } finally {
    await archive.archive.delete(receipt.studyInstanceUid)
  }
}

/** A sample of HTJ2K belongs to no study: it gets one, in front of (0028,0002). */
function named(bytes: Buffer): Buffer {
  const imagePixels = bytes.indexOf(Buffer.from([0x28, 0, 0x02, 0, 0x55, 0x53, 2, 0]))
  if (imagePixels < 0 || bytes.indexOf(Buffer.from([0x20, 0, 0x0d, 0, 0x55, 0x49])) >= 0 || !bytes.includes('PYDICOM 3')) return bytes
  const uid = (element: number) => Buffer.concat([Buffer.from([0x20, 0, element, 0, 0x55, 0x49, 6, 0]), Buffer.from('2.25.7')])
  return Buffer.concat([bytes.subarray(0, imagePixels), uid(0x0d), uid(0x0e), bytes.subarray(imagePixels)])
}

async function transcoded(file: InstanceFile, target: string, options: Partial<TranscodeOptions> = {}): Promise<Buffer> {
  const { stream, sizeBytes } = await transcode(file, target, { codecs, ...options })
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  if (sizeBytes !== undefined) expect(bytes.length).toBe(sizeBytes)
  return bytes
}

/** All samples of an instance by our own codecs, side by side in each pixel. */
async function samplesOf(file: InstanceFile): Promise<Buffer> {
  const frames: Buffer[] = []
  const { uid: transferSyntaxUid, encapsulated } = transferSyntax(file.transferSyntaxUid)
  for (let frame = 1; frame <= Math.max(1, file.row.numberOfFrames ?? 1); frame += 1) {
    const pixels = await describePixels(file, frame)
    const { bytes, planarConfiguration } = await codecs.run({ bytes: (await readFrame(file, frame)).bytes, transferSyntaxUid, encapsulated, pixels })
    frames.push(pixels.samplesPerPixel > 1 && planarConfiguration === 1 ? interleaved(bytes, pixels.samplesPerPixel) : bytes)
  }
  return Buffer.concat(frames)
}

function interleaved(bytes: Buffer, samples: number): Buffer {
  const plane = bytes.length / samples
  return Buffer.from(Uint8Array.from(bytes, (_byte, at) => bytes[(at % samples) * plane + Math.floor(at / samples)] ?? 0))
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')

/** A native file by tools that are not ours. */
function byOthers(file: string): string {
  const native = `${file}.native.dcm`
  const uid = path.basename(file).split('@')[1] ?? ''
  const tool: Record<string, string[]> = {
    [RLE]: ['dcmdrle', file, native],
    [j('50')]: ['dcmdjpeg', '+cn', file, native],
    [j('57')]: ['dcmdjpeg', file, native],
    [j('70')]: ['dcmdjpeg', file, native],
    [j('80')]: ['dcmdjpls', file, native],
    [j('81')]: ['dcmdjpls', file, native],
    [j('90')]: ['gdcmconv', '--raw', file, native],
    [j('91')]: ['gdcmconv', '--raw', file, native],
  }
  const [command, ...args] = tool[uid] ?? ['dcmconv', '+te', file, native]
  const said = run(command ?? '', args)
  expect(said, uid).not.toMatch(/^[EF]: /m)
  return native
}

interface Judged {
  readonly transferSyntaxUid: string
  readonly sopInstanceUid: string
  readonly photometricInterpretation: string
  readonly planarConfiguration: number
  readonly lossy: string
  readonly ratios: number[]
  readonly methods: string
  readonly imageType: string
  readonly derivations: string[]
  readonly md5: string
}
const judge = (files: readonly string[]) => askPydicom('pixel_digests.py', files) as Judged[]
/** What dicom3tools calls an error, without the place: transcoding must not add to a sender's own. */
const errorsIn = (file: string) => new Set(run('dciodvfy', [file]).split('\n').filter((line) => line.startsWith('Error')).map((line) => line.replace(/<.*?>/g, '').trim()))

/** 8, 12 and 16 bits, signed and not, grey, colour by pixel and by plane, palette, several frames, native and compressed. */
const sources = {
  '16 bit signed, big endian': 'syntaxes/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm',
  '12 bit, ten frames, big endian': 'syntaxes-more/emri_small_big_endian.dcm',
  'colour by plane, big endian': 'syntaxes-more/ExplVR_BigEnd.dcm',
  'deflated': 'syntaxes/CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm',
  'JPEG 12 bit, fragmented': 'syntaxes-more/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm',
  'JPEG-LS, two frames, fragmented': 'syntaxes-more/CT0012.fragmented_no_bot_jpeg_ls.80.dcm',
  'JPEG lossless, any predictor': 'syntaxes-more/jpeg_lossless_sel1.dcm',
  'JPEG 2000 colour': 'syntaxes-more/GDCMJ2K_TextGBR.dcm',
  'JPEG colour': 'us-rgb/examples_ybr_color.dcm',
  'RLE colour, two frames': 'syntaxes-color/SC_rgb_rle_2frame.dcm',
  'HTJ2K colour': 'syntaxes-htj2k/HTJ2KLossless_08_RGB.dcm',
  'luminance and chrominance': 'syntaxes-more/SC_ybr_full_uncompressed.dcm',
  'colour of 16 bit': 'syntaxes-more/SC_rgb_16bit.dcm',
  'colour of odd length': 'syntaxes-color/SC_rgb_small_odd.dcm',
  'palette': 'us-palette/examples_palette.dcm',
  'MONOCHROME1': 'dx-small/dx_image.dcm',
  'one bit, eight frames': 'syntaxes-more/seg_image_ct_binary_overlap.dcm',
  '32 bit': 'syntaxes-more/rtdose.dcm',
}
/** What no codec of ours keeps whole is refused, and only that. */
const refused: Record<string, string[]> = {
  'luminance and chrominance': [j('201'), j('90')],
  'colour of 16 bit': [j('201'), j('90')],
  'one bit, eight frames': [j('80'), j('70'), j('57'), j('201'), j('90'), RLE],
  '32 bit': [j('80'), j('70'), j('57'), j('201'), j('90')],
}

describe('an instance in another lossless syntax', () => {
  it.each(Object.entries(sources))('keeps every sample: %s', async (kind, name) => {
    // ARC-03, ARC-26
    const [set = '', base = ''] = name.split('/')
    const { decodedMd5 } = fixtures(set).find(({ path: each }) => each === name) ?? { decodedMd5: '' }
    await withStored(fixture(set, base), async (file) => {
      const samples = await samplesOf(file)
      // The catalogue's digest is of the pixels that two other decoders agree on, planes as stored.
      if (decodedMd5 !== '' && kind !== 'colour by plane, big endian') expect(md5(samples)).toBe(decodedMd5)
      const refusedHere: string[] = []
      for (const target of losslessTargets.filter((uid) => uid !== file.transferSyntaxUid)) {
        const bytes = await transcoded(file, target).catch((error: unknown) => {
          if (error instanceof Problem && error.code === 'archive/not-transcodable') return undefined
          throw error
        })
        if (!bytes) refusedHere.push(target)
        else
          await withStored(bytes, async (copy) => {
            expect([copy.transferSyntaxUid, copy.row.sopInstanceUid]).toEqual([target, file.row.sopInstanceUid])
            expect(md5(await samplesOf(copy)), target).toBe(md5(samples))
          }, again)
      }
      expect(refusedHere.sort()).toEqual((refused[kind] ?? []).sort())
    })
  })

  it('is read by DCMTK, GDCM and pydicom as the same pixels, and dciodvfy finds nothing new in it', async () => {
    // ARC-03, ARC-26
    const kinds = ['16 bit signed, big endian', '12 bit, ten frames, big endian', 'colour by plane, big endian', 'JPEG-LS, two frames, fragmented', 'JPEG colour', 'JPEG 2000 colour', 'palette', 'colour of odd length'] as const
    for (const kind of kinds) {
      const [set = '', base = ''] = sources[kind].split('/')
      await withStored(fixture(set, base), async (file) => {
        const wanted = md5(await samplesOf(file))
        const targets = losslessTargets.filter((uid) => uid !== file.transferSyntaxUid && uid !== j('201'))
        const files: string[] = []
        for (const target of targets) {
          const written = path.join(folder, `${base}@${target}`)
          writeFileSync(written, await transcoded(file, target))
          files.push(byOthers(written))
          // dicom3tools reads neither deflated files nor, without asking, big endian.
          if (target !== EXPLICIT_BE && target !== DEFLATED_LE) expect([...errorsIn(written)].filter((line) => !errorsIn(fixture(set, base)).has(line)), `${base} ${target}`).toEqual([])
        }
        const judged = judge(files)
        for (const [at, { md5: seen, planarConfiguration }] of judged.entries()) {
          if (planarConfiguration === 1) continue // the same samples in another order
          expect(seen, `${kind} ${targets[at]}`).toBe(wanted)
        }
        expect(judged.filter(({ planarConfiguration }) => planarConfiguration === 0).length).toBeGreaterThan(kind.includes('plane') ? 4 : 7)
      })
    }
  })
})

describe('what other encoders have compressed', () => {
  const natives = { 'grey 8': 'us-palette/examples_palette.dcm', 'grey 12': 'mr-overlay/examples_overlay.dcm', 'grey 16 signed': 'syntaxes/CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm', 'colour 8': 'us-rgb/examples_rgb_color.dcm' }
  const encoders: Record<string, string[]> = {
    [RLE]: ['dcmcrle'],
    [j('57')]: ['dcmcjpeg', '+el'],
    [j('70')]: ['dcmcjpeg', '+e1'],
    [j('80')]: ['dcmcjpls', '+el'],
    [j('90')]: ['gdcmconv', '--j2k'],
  }
  it.each(Object.entries(natives))('is decoded to the source bit by bit: %s', async (_kind, name) => {
    // ARC-03
    const [set = '', base = ''] = name.split('/')
    const wanted = await withStored(fixture(set, base), async (file) => md5(await samplesOf(file)))
    for (const [uid, [command = '', ...options]] of Object.entries(encoders)) {
      const written = path.join(folder, `theirs-${base}-${uid}.dcm`)
      run(command, [...options, fixture(set, base), written])
      await withStored(written, async (file) => {
        expect(file.transferSyntaxUid).toBe(uid)
        expect(md5(await samplesOf(file)), uid).toBe(wanted)
      })
    }
  })
})

describe('an instance in a lossy syntax', () => {
  it('says what was lost, and is made only where samples allow', async () => {
    // ARC-14
    await withStored(fixture('us-rgb', 'examples_rgb_color.dcm'), async (file) => {
      const before = await samplesOf(file)
      for (const [target, method, photometric] of [[j('50'), 'ISO_10918_1', 'YBR_FULL_422'], [j('81'), 'ISO_14495_1', 'RGB'], [j('91'), 'ISO_15444_1', 'YBR_ICT']] as const) {
        const bytes = await transcoded(file, target, { derived: true })
        const written = path.join(folder, `lossy@${target}`)
        writeFileSync(written, bytes)
        const [said] = judge([written])
        const compressedBytes = await withStored(bytes, (copy) => Promise.resolve((copy.frameIndex.kind === 'encapsulated' && copy.frameIndex.fragments[0]?.[1]) || 0), again)
        expect(said).toMatchObject({ transferSyntaxUid: target, sopInstanceUid: file.row.sopInstanceUid, photometricInterpretation: photometric, lossy: '01', methods: method, derivations: ['113040'] })
        expect(said?.imageType).toMatch(/^DERIVED\\/)
        expect(Math.abs((said?.ratios[0] ?? 0) - before.length / compressedBytes)).toBeLessThan(0.02)
        expect([...errorsIn(written)].filter((line) => !errorsIn(fixture('us-rgb', 'examples_rgb_color.dcm')).has(line))).toEqual([])
        const after = await withStored(bytes, samplesOf, again)
        const worst = before.reduce((most, value, at) => Math.max(most, Math.abs(value - (after[at] ?? 0))), 0)
        expect(worst, target).toBeGreaterThan(0)
        if (target === j('81')) expect(worst).toBeLessThanOrEqual(2)
        byOthers(written)
      }
    })
    await withStored(fixture('syntaxes', 'CTImage.dcm'), async (file) => {
      await expect(transcoded(file, j('50'))).rejects.toMatchObject({ code: 'archive/not-transcodable' })
      await expect(transcoded(file, j('81'))).rejects.toMatchObject({ code: 'archive/not-transcodable' })
      await expect(transcoded(file, j('51'))).rejects.toMatchObject({ code: 'archive/not-transcodable' })
    })
  })

  it('that has been decoded still says that it was lossy', async () => {
    // ARC-14, ARC-26
    await withStored(fixture('us-rgb', 'examples_ybr_color.dcm'), async (file) => {
      const written = path.join(folder, 'was-lossy.dcm')
      writeFileSync(written, await transcoded(file, EXPLICIT_LE))
      expect(judge([written])[0]).toMatchObject({ lossy: '01', photometricInterpretation: 'RGB', planarConfiguration: 0 })
    })
  })
})
