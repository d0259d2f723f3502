import { randomBytes } from 'node:crypto'
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

  /** @param sizeBytes absent when it is not known beforehand */
  async part(contentType: string, location: string, body: Uint8Array | AsyncIterable<Uint8Array>, sizeBytes: number | undefined): Promise<void> {
    if (!this.wanted) return
    if (!this.#begun) this.#begin()
    const length = sizeBytes === undefined ? '' : `Content-Length: ${sizeBytes}\r\n`
    const head = `${this.#begun ? '\r\n' : ''}--${this.#boundary}\r\nContent-Type: ${contentType}\r\nContent-Location: ${location}\r\n${length}\r\n`
    this.#begun = true
    await this.#write(head)
    if (body instanceof Uint8Array) await this.#write(body)
    else for await (const chunk of body) await this.#write(chunk)
  }

  /** The answer without its parts. */
  head(): void {
    this.#begin()
    this.#response.end()
  }

  #begin(): void {
    this.#response.status(200).setHeader('Content-Type', `multipart/related; type="${this.#type}"; boundary="${this.#boundary}"`)
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
    await drained(this.#response)
  }
}

/** The reader takes more, or has gone. Leaves no listener behind: a large study waits thousands of times. */
export function drained(response: Response): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      response.off('drain', end).off('close', end)
      resolve()
    }
    response.on('drain', end).on('close', end)
  })
}
