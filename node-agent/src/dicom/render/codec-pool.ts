import type { Buffer } from 'node:buffer'
import type { PixelDescription } from './pixel-description.ts'
import type { PictureOptions } from './render-job.ts'

/** Work for a codec thread: decode a stored frame, and then show it, or encode it anew, or hand out the samples. */
export interface CodecWork {
  readonly bytes: Uint8Array
  readonly transferSyntaxUid: string
  readonly encapsulated: boolean
  readonly pixels: PixelDescription
  readonly picture?: PictureOptions
}

/** Codecs on worker threads: they are synchronous, and the main thread goes on receiving images. */
export interface Codecs {
  run(work: CodecWork): Promise<Buffer>
}
