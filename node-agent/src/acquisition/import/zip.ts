import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import iconv from 'iconv-lite'
import { Problem } from 'specs'
import yauzl, { type Entry, type ZipFile } from 'yauzl'

/** One file of a ZIP, read when its turn comes. */
export interface ZippedFile {
  /** For people; never a path of ours. */
  readonly name: string
  readonly sizeBytes: number
  open(): Promise<AsyncIterable<Buffer>>
  /** After it has been read to the end: whether its check sum fits. */
  isWhole(): boolean
}

export interface ZipLimits {
  readonly maxEntries: number
  /** Of everything that is read out of it. */
  readonly maxBytes: number
}

export const usualZipLimits: ZipLimits = { maxEntries: 200_000, maxBytes: 200e9 }
/** A ZIP that grows beyond this as a whole holds no images, whatever it says (images of one grey level do shrink to 1:1000, but not all of them). */
const MAX_RATIO = 300
const RATIO_COUNTS_FROM = 1e9

/**
 * Reads a ZIP file by its table of contents. What is inside is untrusted: names are only shown, sizes are checked while unpacking, nested
 * ZIP files are files like others.
 *
 * @throws {Problem} import/bad-archive when it is damaged or none; import/archive-bomb beyond the limits.
 */
export async function* filesOfZip(path: string, limits: ZipLimits = usualZipLimits): AsyncGenerator<ZippedFile & { readonly total: number }> {
  const zip = await yauzl.openPromise(path, { lazyEntries: true, autoClose: false, decodeStrings: false, validateEntrySizes: true }).catch(unusable)
  let unpacked = 0
  const count = (bytes: number) => {
    unpacked += bytes
    if (unpacked > limits.maxBytes || (unpacked > RATIO_COUNTS_FROM && unpacked > zip.fileSize * MAX_RATIO)) throw new Problem('import/archive-bomb', { limitBytes: limits.maxBytes })
  }
  try {
    if (zip.entryCount > limits.maxEntries) throw new Problem('import/archive-bomb', { limitEntries: limits.maxEntries })
    for await (const entry of entriesOf(zip)) {
      const name = nameOf(entry)
      if (name.endsWith('/')) continue
      let sum = 0
      yield {
        name,
        total: zip.entryCount,
        sizeBytes: entry.uncompressedSize,
        isWhole: () => sum === entry.crc32 >>> 0,
        open: async () => {
          if (entry.isEncrypted()) throw new Problem('import/bad-archive', { reason: 'encrypted' })
          const stream = await zip.openReadStreamPromise(entry).catch(unusable)
          return counted(stream, (chunk) => {
            count(chunk.length)
            sum = crc32(chunk, sum)
          })
        },
      }
    }
  } finally {
    zip.close()
  }
}

async function* counted(stream: AsyncIterable<unknown>, onChunk: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) {
      const bytes = chunk as Buffer // a byte stream
      onChunk(bytes)
      yield bytes
    }
  } catch (error) {
    if (error instanceof Problem) throw error
    unusable(error)
  }
}

async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry> {
  try {
    yield* zip.eachEntry()
  } catch (error) {
    if (error instanceof Problem) throw error
    unusable(error)
  }
}

/** APPNOTE 4.4.4: bit 11 says UTF-8; without it Chinese Windows writes GBK. */
function nameOf(entry: Entry): string {
  const bytes: Buffer = Buffer.isBuffer(entry.fileName) ? entry.fileName : Buffer.from(entry.fileName)
  const isUtf8 = (entry.generalPurposeBitFlag & 0x800) !== 0
  const text = isUtf8 ? bytes.toString('utf8') : iconv.decode(bytes, 'gb18030')
  return text.replaceAll('\\', '/').slice(0, 300)
}

function unusable(cause: unknown): never {
  throw new Problem('import/bad-archive', { reason: cause instanceof Error ? cause.message.slice(0, 200) : '' }, { cause })
}
