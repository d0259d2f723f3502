import type { ProblemDetails } from 'specs'
import { backgroundHeader } from '../session/activity.ts'

/** A refusal of the hub with its stable code; `title` is already in the reader's language. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  readonly details: ProblemDetails

  constructor(details: ProblemDetails) {
    super(details.title)
    this.details = details
  }
}

const unreachable: ProblemDetails = {
  type: 'urn:lianpian:problem:region/hub-unreachable',
  code: 'region/hub-unreachable',
  title: '无法连接区域平台',
  titleEn: 'The regional hub cannot be reached',
  status: 503,
}

export interface ApiClient {
  get<T>(path: string, query?: Record<string, string | number | boolean | undefined>): Promise<T>
  send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T>
}

/**
 * @param onSignedOut called when the session is over (401), so that the page can ask to sign in again.
 * @param strengthen asks the person for a second factor where a request needs one; true when it was shown, and the request is made again.
 * @returns a client of the hub's JSON API; every failure is an ApiProblem.
 */
export function createApiClient(onSignedOut: () => void, fetcher: typeof fetch = fetch, strengthen: () => Promise<boolean> = () => Promise.resolve(false)): ApiClient {
  async function call<T>(path: string, init: RequestInit, again = true): Promise<T> {
    let response: Response
    try {
      response = await fetcher(path, { credentials: 'same-origin', ...init })
    } catch (cause) {
      throw Object.assign(new ApiProblem(unreachable), { cause })
    }
    if (response.status === 204) return undefined as T
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    const body: unknown = isJson ? await response.json() : undefined
    if (response.ok) return body as T
    const details = isProblemDetails(body) ? body : { ...unreachable, status: response.status }
    if (details.code === 'access/not-signed-in') onSignedOut()
    if (details.code === 'access/second-factor-needed' && again && (await strengthen())) return call<T>(path, init, false)
    throw new ApiProblem(details)
  }
  return {
    get: (path, query = {}) => {
      const entries = Object.entries(query).filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined && entry[1] !== '')
      const search = new URLSearchParams(entries.map(([key, value]) => [key, String(value)])).toString()
      return call(search ? `${path}?${search}` : path, { headers: { accept: 'application/json', ...backgroundHeader() } })
    },
    send: (method, path, body) =>
      call(path, {
        method,
        // The header proves that our own page asks, not a form on a foreign one.
        headers: { accept: 'application/json', 'content-type': 'application/json', 'x-requested-with': 'lianpian' },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
  }
}

function isProblemDetails(value: unknown): value is ProblemDetails {
  return typeof value === 'object' && value !== null && 'code' in value && 'title' in value
}
