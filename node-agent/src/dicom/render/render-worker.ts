import process from 'node:process'
import { parentPort } from 'node:worker_threads'
import sharp from 'sharp'
import { decodeFrame, type DecodedFrame } from './decode.ts'
import { toDisplay } from './display.ts'
import { encodeFrame } from './encode.ts'
import type { CodecAnswer, PictureOptions, RenderJob } from './render-job.ts'
import type { PixelDescription } from './pixel-description.ts'

// Entry of the worker thread: codecs and lookup tables work here, so that the main thread goes on receiving images.
const port = parentPort
if (!port) throw new Error('render-worker runs as a worker thread')
// One job at a time; libvips' own threads and cache would only compete with it.
sharp.concurrency(1)
sharp.cache(false)

port.on('message', (job: RenderJob) => {
  run(job).then(
    (answer) => port.postMessage(answer),
    (error: unknown) => {
      port.postMessage({ id: job.id, failure: error instanceof Error ? error.message : 'unknown' } satisfies CodecAnswer)
      // What a codec that broke off has left in its memory is not trusted with the next patient.
      if (error instanceof Error && error.name === 'RuntimeError') setImmediate(() => process.exit(1))
    },
  )
})

async function run({ id, bytes, transferSyntaxUid, encapsulated, pixels, picture, encode }: RenderJob): Promise<CodecAnswer> {
  const decoded = await decodeFrame(bytes, transferSyntaxUid, encapsulated, pixels)
  if (picture) return answer(id, { ...decoded, bytes: await toPicture(decoded, pixels, picture) })
  return answer(id, encode ? await encodeFrame(decoded, pixels, encode) : decoded)
}

/** A copy: what the codecs hand out lies in their own memory. */
const answer = (id: number, { bytes, photometricInterpretation, planarConfiguration }: Omit<DecodedFrame, 'bytes'> & { bytes: Uint8Array }): CodecAnswer => ({
  id,
  bytes: Uint8Array.from(bytes),
  photometricInterpretation,
  planarConfiguration,
})

async function toPicture(
  frame: DecodedFrame,
  pixels: PixelDescription,
  { mediaType, quality, window, maxWidth, maxHeight, region }: PictureOptions,
): Promise<Uint8Array> {
  const { data, channels } = toDisplay(frame, pixels, window)
  let image = sharp(data, { raw: { width: pixels.columns, height: pixels.rows, channels } })
  if (region) image = image.extract(region)
  if (maxWidth !== undefined || maxHeight !== undefined)
    image = image.resize({
      ...(maxWidth !== undefined && { width: maxWidth }),
      ...(maxHeight !== undefined && { height: maxHeight }),
      fit: 'inside',
    })
  // Grey stays one channel: a third of the bytes.
  if (channels === 1) image = image.toColourspace('b-w')
  return mediaType === 'image/png' ? image.png({ compressionLevel: 4 }).toBuffer() : image.jpeg({ quality }).toBuffer()
}
