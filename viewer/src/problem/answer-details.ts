import { answers, isProblemCode, type ProblemDetails } from 'specs'

const unreachable = wording(
  'network/unreachable',
  0,
  '无法连接服务器，请检查网络后重试',
  'The server cannot be reached; check the network and try again',
)
const usual: Record<number, keyof typeof answers> = {
  401: 'access/not-signed-in',
  403: 'access/forbidden',
  404: 'request/not-found',
  503: 'service/unavailable',
}

export const undecodable = wording('viewer/undecodable', 422, '影像无法解码', 'The image cannot be decoded')
export const notShown = wording('viewer/not-shown', 0, '影像显示失败', 'The image could not be shown')

/**
 * What a failed request for images or metadata says (RFC 9457), in words for a radiologist.
 *
 * @param status HTTP status; 0 when no answer came.
 * @param body Answer as text, ArrayBuffer or parsed JSON; anything but problem details explains nothing.
 */
export function detailsOfAnswer(status: number, body: unknown): ProblemDetails {
  if (status === 0) return unreachable
  const details = readDetails(body)
  if (details) return { ...details, status }
  const code = usual[status]
  return code
    ? wording(code, status, answers[code].zh, answers[code].en)
    : wording(`http/${status}`, status, '服务器返回了无法识别的错误', 'The server answered with an unknown error')
}

function wording(code: string, status: number, title: string, titleEn: string): ProblemDetails {
  return { type: `urn:lianpian:problem:${code}`, code, title, titleEn, status }
}

function readDetails(body: unknown): ProblemDetails | undefined {
  const value = body instanceof ArrayBuffer ? parseJson(new TextDecoder().decode(body)) : typeof body === 'string' ? parseJson(body) : body
  if (typeof value !== 'object' || value === null || !('code' in value) || typeof value.code !== 'string') return undefined
  const known = isProblemCode(value.code) ? answers[value.code] : undefined
  const title = 'title' in value && typeof value.title === 'string' ? value.title : (known?.zh ?? value.code)
  const titleEn = 'titleEn' in value && typeof value.titleEn === 'string' ? value.titleEn : (known?.en ?? value.code)
  const facts = 'facts' in value && typeof value.facts === 'object' && value.facts !== null ? { ...value.facts } : {}
  return { ...wording(value.code, 0, title, titleEn), facts }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // a proxy's HTML page explains nothing to a radiologist
  }
}
