import { Buffer } from 'node:buffer'
import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipEntry {
  /** As bytes where the name is not UTF-8. */
  readonly name: string | Buffer
  readonly content: Uint8Array
  /** Kept as it is, not deflated. */
  readonly stored?: boolean
  /** What the table of contents says instead of the truth. */
  readonly lies?: { readonly crc?: number; readonly uncompressedSize?: number; readonly encrypted?: boolean }
}

/** A ZIP file as an archiver writes it (APPNOTE 4.3), with the lies that a test wants. */
export function madeZip(entries: readonly ZipEntry[]): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const { name, content, stored = false, lies = {} } of entries) {
    const bytes = typeof name === 'string' ? Buffer.from(name, 'utf8') : name
    const data = stored ? Buffer.from(content) : deflateRawSync(content)
    const flags = (typeof name === 'string' ? 0x800 : 0) | (lies.encrypted ? 1 : 0)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(flags, 2)
    common.writeUInt16LE(stored ? 0 : 8, 4)
    common.writeUInt32LE(lies.crc ?? crc32(content), 10)
    common.writeUInt32LE(data.length, 14)
    common.writeUInt32LE(lies.uncompressedSize ?? content.length, 18)
    common.writeUInt16LE(bytes.length, 22)
    const local = Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), common, bytes, data])
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(20, 4)
    common.copy(central, 6)
    central.writeUInt32LE(offset, 42)
    centrals.push(central, bytes)
    locals.push(local)
    offset += local.length
  }
  const table = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(table.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, table, end])
}
