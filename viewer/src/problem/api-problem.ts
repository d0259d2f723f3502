import { answers, isProblemCode } from 'specs'

/**
 * A refusal by a service (RFC 9457) or a service out of reach. `code` is from specs; `network/unreachable` is ours and
 * means that no answer came.
 */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  readonly code: string
  readonly status: number
  readonly zh: string
  readonly en: string
  readonly facts: Readonly<Record<string, unknown>>

  constructor(code: string, status: number, wording: { zh: string; en: string }, facts: Readonly<Record<string, unknown>> = {}, options?: { cause?: unknown }) {
    super(code, options)
    this.code = code
    this.status = status
    this.zh = wording.zh
    this.en = wording.en
    this.facts = facts
  }
}

const unreachable = { zh: '无法连接服务器，请检查网络后重试', en: 'The server cannot be reached; check the network and try again' }
const unexplained = { zh: '服务器返回了无法识别的错误', en: 'The server answered with an unknown error' }
const byStatus: Record<number, { code: string; zh: string; en: string }> = {
  401: { code: 'access/not-signed-in', ...answers['access/not-signed-in'] },
  403: { code: 'access/forbidden', ...answers['access/forbidden'] },
  404: { code: 'request/not-found', ...answers['request/not-found'] },
  503: { code: 'service/unavailable', ...answers['service/unavailable'] },
}

/**
 * @param status HTTP status; 0 when the request never got an answer.
 * @param body Answer as text, ArrayBuffer or parsed JSON; anything but problem details counts as no explanation.
 */
export function problemFromAnswer(status: number, body: unknown, cause?: unknown): ApiProblem {
  if (status === 0) return new ApiProblem('network/unreachable', 0, unreachable, {}, { cause })
  const details = readDetails(body)
  if (details) {
    const known = isProblemCode(details.code) ? answers[details.code] : undefined
    const wording = { zh: details.title || (known?.zh ?? unexplained.zh), en: details.titleEn || (known?.en ?? unexplained.en) }
    return new ApiProblem(details.code, status, wording, details.facts, { cause })
  }
  const usual = byStatus[status]
  return usual ? new ApiProblem(usual.code, status, usual, {}, { cause }) : new ApiProblem(`http/${status}`, status, unexplained, { status }, { cause })
}

function readDetails(body: unknown): { code: string; title: string; titleEn: string; facts: Record<string, unknown> } | undefined {
  const value = body instanceof ArrayBuffer ? parseJson(new TextDecoder().decode(body)) : typeof body === 'string' ? parseJson(body) : body
  if (typeof value !== 'object' || value === null || !('code' in value) || typeof value.code !== 'string') return undefined
  const word = (key: string): string => (key in value && typeof (value as Record<string, unknown>)[key] === 'string' ? ((value as Record<string, unknown>)[key] as string) : '')
  const facts = 'facts' in value && typeof value.facts === 'object' && value.facts !== null ? { ...value.facts } : {}
  return { code: value.code, title: word('title'), titleEn: word('titleEn'), facts }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // a proxy's HTML page explains nothing to a radiologist
  }
}
