import type { Response } from 'express'
import { Problem } from 'specs'
import type { RunProgress } from './store.ts'

const REPORT_EVERY_MS = 1_000

export interface DownloadParts {
  readonly exportId: string
  readonly sessionId: string
  readonly response: Response
  /** Keeps how far it is. @returns false: it is not wanted, or not allowed, any more. */
  readonly report: (progress: RunProgress) => Promise<boolean>
}

/** One download under way: its bytes, how far it is, and everything that can end it. */
export class RunningDownload {
  readonly exportId: string
  readonly sessionId: string
  readonly #response: Response
  readonly #control = new AbortController()
  readonly #timer: ReturnType<typeof setInterval>
  #progress: RunProgress = { done: 0, sentBytes: 0 }
  #because = ''

  constructor({ exportId, sessionId, response, report }: DownloadParts) {
    this.exportId = exportId
    this.sessionId = sessionId
    this.#response = response
    response.once('close', () => this.abort('the reader has gone'))
    this.#timer = setInterval(() => {
      report(this.#progress).then(
        (wanted) => wanted || this.abort('cancelled'),
        () => this.abort('nobody can say whether it is wanted'),
      )
    }, REPORT_EVERY_MS)
  }

  get signal(): AbortSignal {
    return this.#control.signal
  }

  get progress(): RunProgress {
    return this.#progress
  }

  /** Why it was ended, the first reason. */
  get because(): string {
    return this.#because
  }

  onProgress = (progress: RunProgress): void => {
    this.#progress = progress
  }

  begin(fileName: string): void {
    this.signal.throwIfAborted()
    this.#response.status(200).setHeader('Content-Type', 'application/zip')
    this.#response.setHeader('Content-Disposition', `attachment; filename="${fileName}"`)
    this.#response.setHeader('Cache-Control', 'no-store')
  }

  /** Waits while the reader is slower than we are. */
  sink = async (bytes: Uint8Array): Promise<void> => {
    this.signal.throwIfAborted()
    if (this.#response.write(bytes)) return
    await new Promise<void>((resolve) => {
      const go = () => {
        this.#response.off('drain', go)
        this.signal.removeEventListener('abort', go)
        resolve()
      }
      this.#response.once('drain', go)
      this.signal.addEventListener('abort', go)
    })
    this.signal.throwIfAborted()
  }

  /** Resolves when the last byte has gone out. */
  async finish(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error))
      this.#response.end(resolve)
    })
  }

  /** Cuts the connection if anything has gone out: an answer that merely ended would look whole. */
  abort(because: string): void {
    if (this.signal.aborted) return
    this.#because = because
    this.#control.abort(new Problem('export/ended', { because }))
    if (this.#response.headersSent) this.#response.destroy()
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
