import type { Buffer } from 'node:buffer'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { promisify } from 'node:util'
import { constants, brotliCompress, gzip } from 'node:zlib'

const COMPRESSIBLE = new Set(['.css', '.html', '.js', '.json', '.map', '.mjs', '.svg', '.txt', '.wasm', '.webmanifest'])
/** Below this, headers outweigh the gain. */
const MIN_BYTES = 1_024

export type Encoding = 'br' | 'gzip' | 'identity'

/** The files of one built application, found once per build, so that a request can only name what is in the list. */
export class PageFiles {
  readonly #folder: string
  #built: number | undefined
  #files: ReadonlyMap<string, string> = new Map()
  readonly #bodies = new Map<string, Promise<Buffer>>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Looks whether there is a build and whether it is another one than before. */
  async refresh(): Promise<'built' | 'missing'> {
    const built = await modifiedAt(join(this.#folder, 'index.html'))
    if (built === undefined) return 'missing'
    if (built !== this.#built) {
      const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true })
      const paths = entries
        .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
        .map((entry) => join(entry.parentPath, entry.name))
      this.#files = new Map(paths.map((path) => [`/${relative(this.#folder, path).split(sep).join('/')}`, path]))
      this.#bodies.clear()
      this.#built = built
    }
    return 'built'
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  /** Changes with every build. */
  etag(path: string, encoding: Encoding): string {
    return `W/"${this.#built?.toString(36)}-${encoding}-${path}"`.replace(/[^\x21-\x7e]/g, '_')
  }

  /** The file in the best encoding that the visitor takes. Each is compressed once per build and kept. */
  async body(path: string, accepted: (encodings: string[]) => string | false): Promise<{ encoding: Encoding; bytes: Buffer }> {
    const plain = await this.#kept(path, 'identity', async () => readFile(this.#files.get(path) ?? ''))
    const worthwhile = COMPRESSIBLE.has(extname(path)) && plain.length >= MIN_BYTES
    const encoding = worthwhile && (accepted(['br']) || accepted(['gzip'])) // browsers name gzip first and take br as gladly
    if (encoding === 'br') return { encoding, bytes: await this.#kept(path, encoding, () => compressors.br(plain)) }
    if (encoding === 'gzip') return { encoding, bytes: await this.#kept(path, encoding, () => compressors.gzip(plain)) }
    return { encoding: 'identity', bytes: plain }
  }

  async #kept(path: string, encoding: Encoding, make: () => Promise<Buffer>): Promise<Buffer> {
    const key = `${encoding} ${path}`
    const body = this.#bodies.get(key) ?? make()
    this.#bodies.set(key, body)
    try {
      return await body
    } catch (error) {
      this.#bodies.delete(key)
      throw error
    }
  }
}

const compressors = {
  br: (bytes: Buffer) =>
    promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 6, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  gzip: (bytes: Buffer) => promisify(gzip)(bytes, { level: 6 }),
}

async function modifiedAt(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).mtimeMs
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
    throw error
  }
}
