import type { Buffer } from 'node:buffer'
import { lossyStorage, Problem, type CompressionRuleInput, type StudyInstanceUid } from 'specs'
import { lossMethods } from '../../dicom/transcode/choose-syntax.ts'
import { transcode } from '../../dicom/transcode/transcode.ts'
import type { Codecs } from '../../dicom/render/codec-pool.ts'
import { readHeader } from '../../dicom/read-metadata.ts'
import { transferSyntax } from '../../dicom/transfer-syntax.ts'
import type { Archive, InstanceFile } from '../archive.ts'

export type CompressingArchive = Pick<Archive, 'series' | 'rewriteStudy'>

export interface Compressed {
  readonly instances: number
  /** Of the instances that were compressed. */
  readonly beforeBytes: number
  readonly afterBytes: number
  /** Instances that cannot be compressed so. */
  readonly refused: number
}

const LOSSY_IMAGE_COMPRESSION = '00282110'
const isLossy = (uid: string): boolean => lossyStorage.some((each) => each === uid)

/**
 * Keeps the images of a study as a rule says: all that fit it, or none. A lossless result is decoded again and compared sample by
 * sample before the original goes, and only then nothing else of it is kept; what would not become smaller stays.
 *
 * @throws {Problem} archive/… when files cannot be read or written; the study is then as it was.
 */
export async function compressStudy(archive: CompressingArchive, codecs: Codecs, rule: CompressionRuleInput, studyInstanceUid: StudyInstanceUid, signal?: AbortSignal): Promise<Compressed> {
  const series = await archive.series(studyInstanceUid)
  const fitting = new Set(series.filter(({ modality }) => rule.modality === '*' || modality === rule.modality).map(({ seriesInstanceUid }) => seriesInstanceUid))
  // A frame that turns out unfit in the middle of an instance breaks the whole off; the next round leaves that instance.
  const refused = new Set<string>()
  for (;;) {
    const figures = { beforeBytes: 0, afterBytes: 0 }
    try {
      if (fitting.size === 0) return { instances: 0, refused: 0, ...figures }
      const { rewritten } = await archive.rewriteStudy(studyInstanceUid, { peer: 'compression', reason: 'compression', keepPrevious: false, ...(signal && { signal }) }, async (file) => {
        if (!fitting.has(file.row.seriesInstanceUid) || refused.has(file.row.sopInstanceUid) || !(await isFor(rule, file))) return undefined
        return compressed(file, codecs, rule, figures, refused)
      })
      return { instances: rewritten, refused: refused.size, ...figures }
    } catch (error) {
      const unfit = error instanceof Problem && error.code === 'archive/not-transcodable' ? error.facts['sopInstanceUid'] : undefined
      if (typeof unfit !== 'string' || refused.has(unfit)) throw error
      refused.add(unfit)
    }
  }
}

/** Whether the rule speaks of this instance: pixels that have never been lost, and not yet in fragments where nothing may be lost. */
async function isFor({ sopClassUid, transferSyntaxUid }: CompressionRuleInput, file: InstanceFile): Promise<boolean> {
  if (file.frameIndex.kind === 'none' || file.transferSyntaxUid === transferSyntaxUid) return false
  if (sopClassUid !== '' && file.row.sopClassUid !== sopClassUid) return false
  if (!isLossy(transferSyntaxUid)) return !transferSyntax(file.transferSyntaxUid).encapsulated
  if (file.transferSyntaxUid in lossMethods) return false
  const header = await readHeader(file)
  return header[LOSSY_IMAGE_COMPRESSION]?.Value?.[0] !== '01'
}

async function compressed(file: InstanceFile, codecs: Codecs, rule: CompressionRuleInput, figures: { beforeBytes: number; afterBytes: number }, refused: Set<string>): Promise<AsyncIterable<Buffer> | undefined> {
  const { transferSyntaxUid, quality, ratio, allowedError } = rule
  const turn = { lane: 'compression', background: true }
  try {
    const made = await transcode(file, transferSyntaxUid, { codecs, turn, quality, ratio, allowedError, verify: true, derived: isLossy(transferSyntaxUid) })
    if (made.sizeBytes !== undefined && made.sizeBytes >= file.sizeBytes) return undefined
    return counted(made.stream, (sizeBytes) => {
      figures.beforeBytes += file.sizeBytes
      figures.afterBytes += sizeBytes
    })
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'archive/not-transcodable') throw error
    refused.add(file.row.sopInstanceUid)
    return undefined
  }
}

async function* counted(chunks: AsyncIterable<Buffer>, done: (sizeBytes: number) => void): AsyncGenerator<Buffer> {
  let sizeBytes = 0
  for await (const chunk of chunks) {
    sizeBytes += chunk.length
    yield chunk
  }
  done(sizeBytes)
}
