import { parentPort } from 'node:worker_threads'
import sharp from 'sharp'
import { decodeFrame, type DecodedFrame } from './decode.ts'
import { toDisplay } from './display.ts'
import type { PictureOptions, RenderAnswer, RenderJob } from './render-job.ts'
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
    (error: unknown) =>
      port.postMessage({ id: job.id, failure: error instanceof Error ? error.message : 'unknown' } satisfies RenderAnswer),
  )
})

async function run({ id, bytes, transferSyntaxUid, encapsulated, pixels, picture }: RenderJob): Promise<RenderAnswer> {
  const decoded = await decodeFrame(bytes, transferSyntaxUid, encapsulated, pixels)
  return { id, bytes: Uint8Array.from(picture ? await toPicture(decoded, pixels, picture) : decoded.bytes) }
}

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
