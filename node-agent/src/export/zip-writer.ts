import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

/** Where the bytes go; resolves when more may come. */
export type Sink = (bytes: Uint8Array) => Promise<void>

interface Entry {
  readonly name: Buffer
  readonly crc: number
  readonly sizeBytes: number
  readonly offset: number
  readonly isLarge: boolean
}

const LIMIT = 0xffffffff
/** UTF-8 names (bit 11), sizes behind the data (bit 3). */
const FLAGS = 0x0808
const ZIP64_VERSION = 45
const PLAIN_VERSION = 20
/** Regular file, read and write by the owner, readable by all. */
const UNIX_MODE = 0o100644 * 0x10000

/**
 * A ZIP archive that is written while its contents are made (APPNOTE 6.3.10): stored without compression, because compressed images do not
 * shrink again, sizes and checksums behind each file, ZIP64 where needed. Only `end` makes it an archive: what breaks off before has no
 * directory and is opened by nobody.
 */
export class ZipWriter {
  readonly #sink: Sink
  readonly #entries: Entry[] = []
  readonly #stamp: { readonly date: number; readonly time: number }
  #offset = 0

  constructor(sink: Sink, at: Date) {
    this.#sink = sink
    const time = (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1)
    this.#stamp = { date: ((Math.max(1980, at.getFullYear()) - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate(), time }
  }

  /** How many bytes have gone out. */
  get sizeBytes(): number {
    return this.#offset
  }

  /**
   * @param path with `/`; never from outside without a look, for it becomes a path on somebody's disk.
   * @param isLarge the content may reach 4 GiB: announced beforehand, since the form of the sizes depends on it.
   */
  async add(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, { isLarge = false } = {}): Promise<void> {
    const name = Buffer.from(path)
    const offset = this.#offset
    await this.#write(this.#localHeader(name, isLarge))
    let [crc, sizeBytes] = [0, 0]
    for await (const chunk of content) {
      crc = crc32(chunk, crc)
      sizeBytes += chunk.byteLength
      if (sizeBytes > LIMIT && !isLarge) throw new Error('an entry of a ZIP archive is larger than announced')
      await this.#write(chunk)
    }
    const descriptor = Buffer.alloc(isLarge ? 24 : 16)
    descriptor.writeUInt32LE(0x08074b50, 0)
    descriptor.writeUInt32LE(crc, 4)
    for (const at of [0, 1]) {
      if (isLarge) descriptor.writeBigUInt64LE(BigInt(sizeBytes), 8 + at * 8)
      else descriptor.writeUInt32LE(sizeBytes, 8 + at * 4)
    }
    await this.#write(descriptor)
    this.#entries.push({ name, crc, sizeBytes, offset, isLarge })
  }

  async end(): Promise<void> {
    const start = this.#offset
    for (const entry of this.#entries) await this.#write(this.#directoryEntry(entry))
    const sizeBytes = this.#offset - start
    const count = this.#entries.length
    const isLarge = start > LIMIT || sizeBytes > LIMIT || count >= 0xffff
    if (isLarge) await this.#write(this.#zip64End(count, sizeBytes, start))
    const end = Buffer.alloc(22)
    end.writeUInt32LE(0x06054b50, 0)
    end.writeUInt16LE(Math.min(count, 0xffff), 8)
    end.writeUInt16LE(Math.min(count, 0xffff), 10)
    end.writeUInt32LE(isLarge ? LIMIT : sizeBytes, 12)
    end.writeUInt32LE(isLarge ? LIMIT : start, 16)
    await this.#write(end)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#offset += bytes.byteLength
    await this.#sink(bytes)
  }

  #localHeader(name: Buffer, isLarge: boolean): Buffer {
    const head = Buffer.alloc(30)
    head.writeUInt32LE(0x04034b50, 0)
    head.writeUInt16LE(isLarge ? ZIP64_VERSION : PLAIN_VERSION, 4)
    head.writeUInt16LE(FLAGS, 6)
    head.writeUInt16LE(this.#stamp.time, 10)
    head.writeUInt16LE(this.#stamp.date, 12)
    if (isLarge) {
      head.writeUInt32LE(LIMIT, 18)
      head.writeUInt32LE(LIMIT, 22)
    }
    head.writeUInt16LE(name.length, 26)
    const extra = isLarge ? zip64Extra([0, 0]) : Buffer.alloc(0)
    head.writeUInt16LE(extra.length, 28)
    return Buffer.concat([head, name, extra])
  }

  #directoryEntry({ name, crc, sizeBytes, offset, isLarge }: Entry): Buffer {
    const far = offset > LIMIT
    const extra = isLarge || far ? zip64Extra([...(isLarge ? [sizeBytes, sizeBytes] : []), ...(far ? [offset] : [])]) : Buffer.alloc(0)
    const head = Buffer.alloc(46)
    head.writeUInt32LE(0x02014b50, 0)
    head.writeUInt16LE((3 << 8) | ZIP64_VERSION, 4) // made on UNIX, so that the mode below counts
    head.writeUInt16LE(isLarge || far ? ZIP64_VERSION : PLAIN_VERSION, 6)
    head.writeUInt16LE(FLAGS, 8)
    head.writeUInt16LE(this.#stamp.time, 12)
    head.writeUInt16LE(this.#stamp.date, 14)
    head.writeUInt32LE(crc, 16)
    head.writeUInt32LE(isLarge ? LIMIT : sizeBytes, 20)
    head.writeUInt32LE(isLarge ? LIMIT : sizeBytes, 24)
    head.writeUInt16LE(name.length, 28)
    head.writeUInt16LE(extra.length, 30)
    head.writeUInt32LE(UNIX_MODE, 38)
    head.writeUInt32LE(far ? LIMIT : offset, 42)
    return Buffer.concat([head, name, extra])
  }

  #zip64End(count: number, sizeBytes: number, start: number): Buffer {
    const end = Buffer.alloc(56 + 20)
    end.writeUInt32LE(0x06064b50, 0)
    end.writeBigUInt64LE(44n, 4)
    end.writeUInt16LE((3 << 8) | ZIP64_VERSION, 12)
    end.writeUInt16LE(ZIP64_VERSION, 14)
    end.writeBigUInt64LE(BigInt(count), 24)
    end.writeBigUInt64LE(BigInt(count), 32)
    end.writeBigUInt64LE(BigInt(sizeBytes), 40)
    end.writeBigUInt64LE(BigInt(start), 48)
    end.writeUInt32LE(0x07064b50, 56)
    end.writeBigUInt64LE(BigInt(start + sizeBytes), 64)
    end.writeUInt32LE(1, 72)
    return end
  }
}

function zip64Extra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + values.length * 8)
  extra.writeUInt16LE(1, 0)
  extra.writeUInt16LE(values.length * 8, 2)
  values.forEach((value, at) => extra.writeBigUInt64LE(BigInt(value), 4 + at * 8))
  return extra
}
