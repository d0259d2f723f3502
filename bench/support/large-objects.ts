import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { aSlice } from '../../node-agent/src/archive/archive.builder.ts'
import { buildFile } from '../../node-agent/src/dicom/dataset.builder.ts'
import { numbers } from './long-trail.ts'

const MG_FOR_PRESENTATION = '1.2.840.10008.5.1.4.1.1.1.2'
const GRAYSCALE_WORD_MULTIFRAME = '1.2.840.10008.5.1.4.1.1.7.3'

interface Raster {
  readonly sopClassUid: string
  readonly modality: string
  readonly rows: number
  readonly columns: number
  readonly frames: number
}

/** A file of uncompressed 16-bit pixels without a pattern that anything could shorten, written piece by piece. @returns its size. */
async function writeRaster(file: string, sopInstanceUid: string, { sopClassUid, modality, rows, columns, frames }: Raster): Promise<number> {
  const { PixelData, ...header } = aSlice({
    SOPClassUID: sopClassUid, SOPInstanceUID: sopInstanceUid, StudyInstanceUID: '2.25.77', SeriesInstanceUID: '2.25.77.1', Modality: modality, Rows: rows, Columns: columns,
    ...(frames > 1 && { NumberOfFrames: String(frames) }),
  }) // prettier-ignore
  const sizeBytes = rows * columns * 2 * frames
  const head = Buffer.concat([buildFile(header), Buffer.from([0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x57, 0, 0, 0, 0, 0, 0])]) // (7FE0,0010) OW
  head.writeUInt32LE(sizeBytes, head.length - 4)
  const random = numbers(sizeBytes)
  const noise = Uint8Array.from({ length: 1 << 20 }, () => random(256))
  const out = createWriteStream(file)
  out.write(head)
  for (let left = sizeBytes; left > 0; left -= noise.length) {
    if (!out.write(noise.subarray(0, Math.min(left, noise.length)))) await once(out, 'drain')
  }
  out.end()
  await finished(out)
  return head.length + sizeBytes
}

/** Mammograms of 3,328 × 4,096 (27 MB each), in one folder per association. @returns the folders and all their bytes. */
export async function makeMammograms(folder: string, { count, associations }: { count: number; associations: number }): Promise<{ groups: string[]; sizeBytes: number }> {
  const groups = Array.from({ length: associations }, (_each, index) => join(folder, String(index)))
  for (const group of groups) mkdirSync(group, { recursive: true })
  let sizeBytes = 0
  for (let index = 0; index < count; index++)
    sizeBytes += await writeRaster(join(groups[index % associations]!, `${index}.dcm`), `2.25.78.${index}`, { sopClassUid: MG_FOR_PRESENTATION, modality: 'MG', rows: 4_096, columns: 3_328, frames: 1 })
  return { groups, sizeBytes }
}

/** One object of 2,048 frames of 512 × 512: 1 GB. @returns its folder and size. */
export async function makeMultiFrame(folder: string): Promise<{ group: string; sizeBytes: number }> {
  mkdirSync(folder, { recursive: true })
  return { group: folder, sizeBytes: await writeRaster(join(folder, 'frames.dcm'), '2.25.79', { sopClassUid: GRAYSCALE_WORD_MULTIFRAME, modality: 'OT', rows: 512, columns: 512, frames: 2_048 }) }
}
