/** A refusal of a hub or node as its API tells it (RFC 9457). */
export class ProblemDetailsError extends Error {
  override readonly name = 'ProblemDetailsError'
  readonly status: number
  readonly details: { code?: string; title?: string; facts?: Record<string, unknown>; detail?: string }

  constructor(url: string, status: number, details: ProblemDetailsError['details']) {
    super(`${new URL(url).pathname} → ${status} ${details.code ?? ''} ${details.title ?? details.detail ?? ''} ${JSON.stringify(details.facts ?? {})}`)
    this.status = status
    this.details = details
  }

  get code(): string | undefined {
    return this.details.code
  }
}
