import type { Buffer } from 'node:buffer'
import type { Log } from 'service-kit'
import { Problem } from 'specs'
import type { InstanceFile } from '../../archive/archive.ts'
import { readFrame, type Frame } from '../frames.ts'
import { EXPLICIT_LE, transferSyntax } from '../transfer-syntax.ts'
import type { Codecs } from './codec-pool.ts'
import { isDecodable } from './decode.ts'
import { describePixels } from './pixel-description.ts'
import type { PictureOptions } from './render-job.ts'

/** Decodes frames and makes pictures of them, away from the main thread. */
export interface Renderer {
  /** The frame's samples, uncompressed little endian. @throws {Problem} archive/not-renderable, archive/unknown-instance */
  decode(file: InstanceFile, frame: number): Promise<Frame>
  /** @throws {Problem} archive/not-renderable, archive/unknown-instance, service/unavailable */
  picture(file: InstanceFile, frame: number, options: PictureOptions): Promise<Buffer>
}

export function createRenderer({ log, codecs }: { log: Log; codecs: Codecs }): Renderer {
  const run = async (file: InstanceFile, frame: number, picture?: PictureOptions): Promise<Buffer> => {
    const syntax = transferSyntax(file.transferSyntaxUid)
    const refuse = (reason: string) => new Problem('archive/not-renderable', { sopInstanceUid: file.row.sopInstanceUid, reason })
    if (!isDecodable(syntax.uid, syntax.encapsulated)) throw refuse(`no decoder for ${syntax.name}`)
    const [stored, pixels] = [await readFrame(file, frame), await describePixels(file, frame)]
    try {
      const { bytes } = await codecs.run({
        bytes: stored.bytes,
        transferSyntaxUid: syntax.uid,
        encapsulated: syntax.encapsulated,
        pixels,
        ...(picture && { picture: fitRegion(picture, pixels) }),
      })
      return bytes
    } catch (error) {
      if (error instanceof Problem) throw error
      log.warn({ err: error, sopInstanceUid: file.row.sopInstanceUid, transferSyntaxUid: syntax.uid }, 'frame not decoded')
      throw new Problem(
        'archive/not-renderable',
        { sopInstanceUid: file.row.sopInstanceUid, reason: 'the pixels cannot be decoded' },
        { cause: error },
      )
    }
  }
  return {
    async decode(file, frame) {
      return { bytes: await run(file, frame), transferSyntaxUid: EXPLICIT_LE, mediaType: 'application/octet-stream' }
    },
    picture: run,
  }
}

/** A region outside the image would make libvips fail; what is left of it inside is shown, or the whole image. */
function fitRegion(picture: PictureOptions, { rows, columns }: { rows: number; columns: number }): PictureOptions {
  const { region, ...rest } = picture
  if (!region) return rest
  const left = Math.min(Math.max(0, Math.floor(region.left)), columns - 1)
  const top = Math.min(Math.max(0, Math.floor(region.top)), rows - 1)
  const width = Math.max(1, Math.min(Math.floor(region.width), columns - left))
  const height = Math.max(1, Math.min(Math.floor(region.height), rows - top))
  return { ...rest, region: { left, top, width, height } }
}
