import { Buffer } from 'node:buffer'
import { Agent as PlainAgent, request as askPlain, type IncomingMessage } from 'node:http'
import { Agent as TlsAgent, request as askTls } from 'node:https'
import type { LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import { isProblem, Problem } from 'specs'
import { canonicalQuery, EMPTY_SHA256, pathEncode, sha256, signed, type S3Credentials } from './signature-v4.ts'

/** How a bucket is reached; the endpoint is any S3-compatible server's. */
export interface BucketAddress {
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  /** `https://server/bucket/key` as most servers of one's own want it, instead of `https://bucket.server/key`. */
  readonly pathStyle: boolean
  /** PEM of the authority behind the server's certificate, where it is none that systems know. */
  readonly ca?: string | undefined
  /** Without a byte for this long, a request has failed. */
  readonly timeoutMs: number
  /** Besides the first. */
  readonly retries: number
  readonly retryMs: number
}

/** Every connection goes through the node's gate for outgoing addresses (ADR 0015). */
export interface OutboundGate {
  check(purpose: 'object-store', address: string): Promise<void>
  lookupFor(purpose: 'object-store'): LookupFunction
}

export interface S3Call {
  readonly method: 'GET' | 'PUT' | 'HEAD' | 'DELETE' | 'POST'
  /** Below the bucket; '' is the bucket itself. */
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | undefined
  readonly signal?: AbortSignal | undefined
}

/** One bucket's requests: signed, through the gate, repeated when the server or the line has hiccups. */
export class S3Requests {
  readonly #storeId: string
  readonly #address: BucketAddress
  readonly #credentials: S3Credentials
  readonly #gate: OutboundGate
  readonly #agent: PlainAgent
  readonly #isTls: boolean

  constructor(storeId: string, address: BucketAddress, credentials: Omit<S3Credentials, 'region'>, gate: OutboundGate) {
    this.#storeId = storeId
    this.#address = address
    this.#credentials = { ...credentials, region: address.region }
    this.#gate = gate
    this.#isTls = new URL(address.endpoint).protocol === 'https:'
    const common = { keepAlive: true, maxSockets: 16, timeout: address.timeoutMs }
    this.#agent = this.#isTls
      ? new TlsAgent({ ...common, minVersion: 'TLSv1.2', ...(address.ca !== undefined && { ca: [...rootCertificates, address.ca] }) })
      : new PlainAgent(common)
  }

  /** @returns an answer with status 2xx, its body unread. @throws {Problem} store/no-object, store/refused, store/full, store/unreachable; outbound/refused */
  async ask(call: S3Call): Promise<IncomingMessage> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#askOnce(call)
      } catch (error) {
        const again = isProblem(error) && error.code === 'store/unreachable' && attempt < this.#address.retries && !call.signal?.aborted
        if (!again) throw error
        await sleep(this.#address.retryMs * 2 ** attempt)
      }
    }
  }

  /** @throws as ask() */
  async text(call: S3Call): Promise<string> {
    const answer = await this.ask(call)
    try {
      return await textOf(answer)
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  async #askOnce({ method, key, query = {}, headers = {}, body, signal }: S3Call): Promise<IncomingMessage> {
    const { endpoint, bucket, pathStyle, timeoutMs } = this.#address
    await this.#gate.check('object-store', endpoint) // addresses written as such, which no lookup sees
    const base = new URL(endpoint)
    const host = pathStyle ? base.host : `${bucket}.${base.host}`
    const path = pathEncode(`${base.pathname.replace(/\/$/, '')}${pathStyle ? `/${bucket}` : ''}${key === '' && pathStyle ? '' : `/${key}`}`)
    const contentSha256 = body === undefined ? EMPTY_SHA256 : sha256(body)
    const length: Record<string, string> = body || method === 'PUT' || method === 'POST' ? { 'content-length': String(body?.length ?? 0) } : {}
    const sent = signed({ method, host, path, query, headers: { ...headers, ...length }, contentSha256 }, this.#credentials, new Date())
    const search = canonicalQuery(query)
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const [hostname, port] = [pathStyle ? base.hostname : `${bucket}.${base.hostname}`, base.port === '' ? (this.#isTls ? 443 : 80) : Number(base.port)]
      const request = (this.#isTls ? askTls : askPlain)({
        method, hostname: hostname.replace(/^\[|\]$/g, ''), port, path: search === '' ? path : `${path}?${search}`, headers: sent, agent: this.#agent,
        lookup: this.#gate.lookupFor('object-store'), timeout: timeoutMs, ...(signal && { signal }),
      }, resolve) // prettier-ignore
      request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
      request.on('error', reject)
      request.end(body)
    }).catch((error: unknown) => Promise.reject(this.#unreachable(error)))
    answer.setTimeout(timeoutMs, () => answer.destroy(new Error(`nothing more within ${timeoutMs} ms`)))
    const { statusCode: status = 500 } = answer
    if (status >= 200 && status < 300) return answer
    throw this.#refusal(status, key, method === 'HEAD' ? '' : await textOf(answer).catch(() => ''))
  }

  #refusal(status: number, key: string, text: string): Problem {
    const code = textOfElement(text, 'Code') ?? ''
    const facts = { storeId: this.#storeId, status, code }
    if (status === 404 && code !== 'NoSuchBucket' && key !== '') return new Problem('store/no-object', { ...facts, key })
    if (status === 507 || /Full|Quota/i.test(code)) return new Problem('store/full', facts)
    if (status >= 500 || status === 429 || status === 408 || code === 'SlowDown' || code === 'RequestTimeout') return new Problem('store/unreachable', facts)
    return new Problem('store/refused', facts)
  }

  #unreachable(error: unknown): unknown {
    if (isProblem(error)) return error
    const reason = error instanceof Error ? ('code' in error ? String(error.code) : error.message) : String(error)
    return new Problem('store/unreachable', { storeId: this.#storeId, reason }, { cause: error })
  }

  close(): void {
    this.#agent.destroy()
  }
}

const MAX_TEXT_BYTES = 8 * 1024 * 1024 // a page of 1,000 keys is a few hundred KB

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_TEXT_BYTES) throw new Error('the answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** S3's answers are flat XML without attributes that matter: an element's text is what stands between its tags. */
export const textOfElement = (xml: string, name: string): string | undefined => elements(xml, name)[0]

export const elements = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))].map(([, text = '']) => text)

export const unescapeXml = (text: string): string =>
  text
    .replaceAll(/&#x([0-9a-f]+);/gi, (_all, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replaceAll(/&#(\d+);/g, (_all, digits: string) => String.fromCodePoint(Number(digits)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
