import { Buffer } from 'node:buffer'
import { Problem } from 'specs'

export interface PartHandler {
  write(chunk: Buffer): Promise<void>
  end(): Promise<void>
}

export interface PartHeaders {
  readonly [name: string]: string
}

const maxHeaderBytes = 16 * 1024
const malformed = (reason: string) => new Problem('request/invalid', { what: 'multipart body', reason })

/**
 * Reads multipart/related as it arrives and hands each part's bytes on; back-pressure reaches the sender, and no part is
 * ever in memory. Parts without Content-Length are found by their boundary (RFC 2046 5.1.1).
 */
export class MultipartReader {
  readonly #delimiter: Buffer
  readonly #onPart: (headers: PartHeaders) => Promise<PartHandler>
  #buffer: Buffer = Buffer.from('\r\n')
  #state: 'preamble' | 'boundary' | 'headers' | 'body' | 'epilogue' = 'preamble'
  #part: PartHandler | undefined

  constructor(boundary: string, onPart: (headers: PartHeaders) => Promise<PartHandler>) {
    if (boundary.length === 0 || boundary.length > 200) throw malformed('boundary')
    // The CRLF before a boundary belongs to it; a body may begin with the boundary, hence the CRLF we begin with.
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
    this.#onPart = onPart
  }

  async push(chunk: Uint8Array): Promise<void> {
    this.#buffer =
      this.#buffer.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat([this.#buffer, chunk])
    while (await this.#step());
  }

  async end(): Promise<void> {
    if (this.#state !== 'epilogue') throw malformed('breaks off')
  }

  async #step(): Promise<boolean> {
    switch (this.#state) {
      case 'preamble':
        return this.#pass(async () => undefined)
      case 'body':
        return this.#pass(async (bytes) => this.#part?.write(bytes))
      case 'boundary':
        return this.#afterBoundary()
      case 'headers':
        return this.#headers()
      case 'epilogue':
        this.#buffer = Buffer.alloc(0)
        return false
    }
  }

  /** Hands on everything that cannot be the beginning of a delimiter. */
  async #pass(take: (bytes: Buffer) => Promise<void>): Promise<boolean> {
    const at = this.#buffer.indexOf(this.#delimiter)
    const safe = at >= 0 ? at : Math.max(0, this.#buffer.length - this.#delimiter.length + 1)
    const bytes = this.#buffer.subarray(0, safe)
    this.#buffer = this.#buffer.subarray(safe)
    if (bytes.length > 0) await take(bytes)
    if (at < 0) return false
    this.#buffer = this.#buffer.subarray(this.#delimiter.length)
    const finished = this.#part
    this.#part = undefined
    this.#state = 'boundary'
    await finished?.end()
    return true
  }

  #afterBoundary(): boolean {
    if (this.#buffer.length < 2) return false
    if (this.#buffer.toString('latin1', 0, 2) === '--') {
      this.#state = 'epilogue'
      return true
    }
    const line = this.#buffer.indexOf('\r\n')
    if (line < 0) {
      if (this.#buffer.length > maxHeaderBytes) throw malformed('boundary line')
      return false
    }
    if (this.#buffer.toString('latin1', 0, line).trim() !== '') throw malformed('text after a boundary')
    // The CRLF stays: headers end by an empty line, and there may be none at all.
    this.#buffer = this.#buffer.subarray(line)
    this.#state = 'headers'
    return true
  }

  async #headers(): Promise<boolean> {
    const end = this.#buffer.indexOf('\r\n\r\n')
    if (end < 0) {
      if (this.#buffer.length > maxHeaderBytes) throw malformed('part headers')
      return false
    }
    const headers: Record<string, string> = {}
    for (const line of this.#buffer.toString('latin1', 0, end).split('\r\n')) {
      const colon = line.indexOf(':')
      if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim()
    }
    this.#buffer = this.#buffer.subarray(end + 4)
    this.#part = await this.#onPart(headers)
    this.#state = 'body'
    return true
  }
}

/** Parameter of a media type, without its quotes. */
export function mediaParameter(contentType: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^;\\s]+))`, 'i').exec(contentType)
  return match?.[1] ?? match?.[2]
}
