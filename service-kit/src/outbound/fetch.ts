import { Buffer } from 'node:buffer'
import { request as askPlain, type IncomingMessage } from 'node:http'
import { request as askTls } from 'node:https'
import { rootCertificates } from 'node:tls'
import { modernTls } from '../http/tls.ts'
import type { Outbound, OutboundPurpose } from './outbound.ts'

export interface FetchOptions {
  readonly purpose: OutboundPurpose
  /** PEM of roots that are trusted besides those of the system. */
  readonly ca?: string | undefined
  /** Longest answer. */
  readonly maxBytes?: number
  readonly timeoutMs?: number
}

export interface FetchInit {
  readonly method?: string | undefined
  readonly headers?: ConstructorParameters<typeof Headers>[0]
  readonly body?: string | URLSearchParams | Uint8Array | null | undefined
  readonly signal?: AbortSignal | null | undefined
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * Asks over HTTP through the gate: the address connected to is the one that was checked, redirects are not followed (they would be
 * another address of somebody else's choice), and the answer has an end.
 *
 * @throws {Problem} outbound/refused; an Error for everything that a network does.
 */
export async function outboundFetch(outbound: Outbound, url: URL | string, init: FetchInit, options: FetchOptions): Promise<Response> {
  const { purpose, ca, maxBytes = 4 * 1024 * 1024, timeoutMs = 15_000 } = options
  const target = new URL(url)
  await outbound.check(purpose, target.href) // scheme, and addresses written as such, which no lookup sees
  const headers = new Headers(init.headers)
  const body = bodyOf(init.body)
  if (init.body instanceof URLSearchParams && !headers.has('content-type')) headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8')
  if (body) headers.set('content-length', String(body.byteLength))
  const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(init.signal ? [init.signal] : [])])
  const common = { method: init.method ?? 'GET', headers: Object.fromEntries(headers), lookup: outbound.lookupFor(purpose), signal, agent: false }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request =
      target.protocol === 'https:'
        ? askTls(target, { ...common, minVersion: modernTls.minVersion, ...(ca !== undefined && { ca: [...rootCertificates, ca] }) }, resolve)
        : askPlain(target, common, resolve)
    request.on('error', reject)
    request.end(body)
  })
  const { statusCode: status = 500 } = response
  if (REDIRECTS.has(status)) {
    response.destroy()
    throw new Error(`${target.origin} answers with a redirection, which is not followed`)
  }
  return answerOf(response, status, maxBytes)
}

function bodyOf(body: FetchInit['body']): Buffer | undefined {
  if (body === undefined || body === null) return undefined
  return body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(String(body), 'utf8')
}

async function answerOf(response: IncomingMessage, status: number, maxBytes: number): Promise<Response> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  const headers = new Headers()
  for (const [name, value] of Object.entries(response.headers)) for (const each of [value ?? []].flat()) headers.append(name, each)
  const isEmpty = [204, 205, 304].includes(status)
  return new Response(isEmpty ? null : Buffer.concat(chunks), { status, statusText: response.statusMessage ?? '', headers })
}
