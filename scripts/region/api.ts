import { ProblemDetailsError } from './problem-details-error.ts'

/** A signed-in user of a hub or node, as a script or test is: the JSON API with a bearer token. */
export class ApiUser {
  readonly url: string
  readonly token: string
  /** Shown again when signing. */
  readonly password: string

  private constructor(url: string, token: string, password: string) {
    this.url = url
    this.token = token
    this.password = password
  }

  static async signIn(url: string, username: string, password: string): Promise<ApiUser> {
    const answer = await call<{ token: string }>(`${url}/api/sessions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username, password }) })
    return new ApiUser(url, answer.token, password)
  }

  get<T>(path: string): Promise<T> {
    return call<T>(this.url + path, { headers: this.headers })
  }

  send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
    return call<T>(this.url + path, { method, headers: { ...this.headers, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
  }

  /** A request whose answer is not JSON (DICOMweb, WADO). */
  raw(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { ...init, headers: { ...this.headers, ...init.headers } })
  }

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}`, accept: 'application/json' }
  }
}

async function call<T>(url: string, init: RequestInit): Promise<T> {
  const response = await fetch(url, init)
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  if (!response.ok) throw new ProblemDetailsError(url, response.status, isJson ? JSON.parse(text) : { detail: text.slice(0, 500) })
  return (text === '' ? undefined : JSON.parse(text)) as T
}
