import { Agent, request } from 'node:http'
import { loadPrivateKey, signRequest } from 'pki'
import type { Party } from './global-setup.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** The source address: Linux lets us be all of 127.0.0.0/8, so that guesses of one test do not lock out the next. */
  readonly from?: string
}

export interface Answered {
  readonly status: number
  /** Of a problem. */
  readonly code: string | undefined
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 })

/** One request over plain sockets, so that also what fetch would mend or refuse can be sent. Streams are left after their head. */
export function ask(url: string, { method, path, body, headers = {}, from }: Asked): Promise<Answered> {
  const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const sent = request({ agent, ...(from !== undefined && { localAddress: from }), hostname, port, method, path, headers: { ...(bytes && { 'content-type': 'application/json', 'content-length': bytes.length }), ...headers } }, (response) => {
      const chunks: Buffer[] = []
      const done = () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: response.statusCode ?? 0, code: codeIn(response.headers['content-type'], text), headers: response.headers, text })
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', done).once('error', reject)
      if (response.headers['content-type']?.startsWith('text/event-stream')) {
        done()
        response.destroy()
      }
    })
    sent.setTimeout(20_000, () => sent.destroy(new Error(`${method} ${path}: no answer in 20 s`)))
    sent.once('error', reject)
    sent.end(bytes)
  })
}

function codeIn(type: string | undefined, text: string): string | undefined {
  if (!type?.includes('problem+json')) return undefined
  return (JSON.parse(text) as { code?: string }).code
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** As a program signs it with the key of its service account. */
export function signedAs(party: Party, { method, path, body }: Asked): Record<string, string> {
  const text = body === undefined ? '' : JSON.stringify(body)
  const key = { id: party.service.keyId, privateKey: loadPrivateKey(party.service.privateKeyPem) }
  return { authorization: signRequest({ audience: party.id, method, url: `${party.url}${path}`, body: text }, key, Date.now()) }
}

export const shown = ({ status, code }: Answered): string => (code === undefined ? String(status) : `${status} ${code}`)

export interface Door {
  readonly door: string
  readonly method: string
  readonly path: string
  readonly query: readonly { name: string; required: boolean; schema: Record<string, unknown> }[]
  readonly takesBody: boolean
}

/** Every door that a running service says it has, from the document it writes out of its registered routes. */
export async function doorsOf(url: string): Promise<Door[]> {
  const { text } = await ask(url, { method: 'GET', path: '/openapi.json' })
  const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, { parameters: { in: string; name: string; required: boolean; schema: Record<string, unknown> }[]; requestBody?: object }>> }
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters, requestBody }]) => ({
      door: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter) => parameter.in === 'query'),
      takesBody: requestBody !== undefined,
    })),
  )
}

export interface SignedInVisitor {
  readonly token: string
  readonly cookie: string
  readonly id: string
}

/** @throws when the password is not taken. */
export async function signIn(url: string, username: string, password: string, headers: Record<string, string> = {}): Promise<SignedInVisitor> {
  const answered = await ask(url, { method: 'POST', path: '/api/sessions', body: { username, password }, headers })
  if (answered.status !== 201) throw new Error(`${username}: ${shown(answered)}`)
  const { token, user } = JSON.parse(answered.text) as { token: string; user: { id: string } }
  return { token, id: user.id, cookie: String(answered.headers['set-cookie']).split(';')[0] ?? '' }
}
