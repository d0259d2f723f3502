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
  /** A file that the service makes of what is asked, under the name it gives it. */
  download(path: string, body: unknown): Promise<DownloadedFile>
}

export interface DownloadedFile {
  readonly name: string
  readonly content: Blob
}

/**
 * @param onSignedOut called when the session is over (401), so that the page can ask to sign in again.
 * @param strengthen asks the person for a second factor where a request needs one; true when it was shown, and the request is made again.
 * @returns a client of the hub's JSON API; every failure is an ApiProblem.
 */
export function createApiClient(onSignedOut: () => void, fetcher: typeof fetch = fetch, strengthen: () => Promise<boolean> = () => Promise.resolve(false)): ApiClient {
  /** @returns the answer of a request that was not refused. */
  async function ask(path: string, init: RequestInit, again = true): Promise<Response> {
    let response: Response
    try {
      response = await fetcher(path, { credentials: 'same-origin', ...init })
    } catch (cause) {
      throw Object.assign(new ApiProblem(unreachable), { cause })
    }
    if (response.ok) return response
    const body: unknown = isJson(response) ? await response.json() : undefined
    const details = isProblemDetails(body) ? body : { ...unreachable, status: response.status }
    if (details.code === 'access/not-signed-in') onSignedOut()
    if (details.code === 'access/second-factor-needed' && again && (await strengthen())) return ask(path, init, false)
    throw new ApiProblem(details)
  }
  const bodyOf = async <T>(response: Response): Promise<T> => (response.status !== 204 && isJson(response) ? ((await response.json()) as T) : (undefined as T))
  const writing = (method: string, body: unknown): RequestInit => ({
    method,
    // The header proves that our own page asks, not a form on a foreign one.
    headers: { accept: 'application/json', 'content-type': 'application/json', 'x-requested-with': 'lianpian' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return {
    get: async (path, query = {}) => {
      const entries = Object.entries(query).filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined && entry[1] !== '')
      const search = new URLSearchParams(entries.map(([key, value]) => [key, String(value)])).toString()
      return bodyOf(await ask(search ? `${path}?${search}` : path, { headers: { accept: 'application/json', ...backgroundHeader() } }))
    },
    send: async (method, path, body) => bodyOf(await ask(path, writing(method, body))),
    download: async (path, body) => {
      const response = await ask(path, writing('POST', body))
      return { name: /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? '', content: await response.blob() }
    },
  }
}

const isJson = (response: Response) => /json/.test(response.headers.get('content-type') ?? '')

function isProblemDetails(value: unknown): value is ProblemDetails {
  return typeof value === 'object' && value !== null && 'code' in value && 'title' in value
}
