import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import type { Response } from 'express'

/** Streams a multipart/related answer part by part; a slow reader holds the file reads back, not our memory. */
export class MultipartWriter {
  readonly #response: Response
  readonly #boundary = `lianpian-${randomBytes(12).toString('hex')}`
  readonly #type: string
  #begun = false

  /** @param type media type of the parts, named in the answer's header (RFC 2387). */
  constructor(response: Response, type: string) {
    this.#response = response
    this.#type = type
  }

  /** False when the reader has gone: the rest need not be read. */
  get wanted(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded
  }

  async part(contentType: string, location: string, body: Uint8Array | Readable, sizeBytes: number): Promise<void> {
    if (!this.wanted) return
    if (!this.#begun)
      this.#response.status(200).setHeader('Content-Type', `multipart/related; type="${this.#type}"; boundary="${this.#boundary}"`)
    const head = `${this.#begun ? '\r\n' : ''}--${this.#boundary}\r\nContent-Type: ${contentType}\r\nContent-Location: ${location}\r\nContent-Length: ${sizeBytes}\r\n\r\n`
    this.#begun = true
    await this.#write(head)
    if (body instanceof Uint8Array) await this.#write(body)
    else for await (const chunk of body) await this.#write(chunk as Uint8Array)
  }

  async end(): Promise<void> {
    if (!this.wanted) return
    await this.#write(`\r\n--${this.#boundary}--\r\n`)
    this.#response.end()
  }

  /** The headers are out already: only breaking off tells the reader that the answer is not whole. */
  fail(): void {
    this.#response.destroy()
  }

  get begun(): boolean {
    return this.#begun
  }

  async #write(bytes: string | Uint8Array): Promise<void> {
    if (!this.wanted || this.#response.write(bytes)) return
    await Promise.race([once(this.#response, 'drain'), once(this.#response, 'close')])
  }
}
