import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { isProblem, Problem } from 'specs'
import type { ByteRange, ImageStore, StoredObject } from './image-store.ts'
import { elements, S3Requests, textOfElement, unescapeXml, type BucketAddress, type OutboundGate } from './s3-request.ts'
import type { S3Credentials } from './signature-v4.ts'

export interface S3StoreSettings extends BucketAddress {
  /** Before every key, with the slash. */
  readonly prefix: string
  readonly credentials: Omit<S3Credentials, 'region'>
  /** Larger objects are sent in parts of this size; S3 wants at least 5 MiB, and at most 10,000 of them. */
  readonly partBytes: number
  /** Asks the server to encrypt what it keeps. */
  readonly serverSideEncryption?: 'AES256' | 'aws:kms' | undefined
}

const XML = { 'content-type': 'application/xml' }
const DICOM = { 'content-type': 'application/dicom' }

/** A bucket of any S3-compatible server (ARC-08). Every part is sent with its SHA-256, so the server refuses what was changed on the way. */
export class S3Store implements ImageStore {
  readonly kind = 's3'
  readonly storeId: string
  readonly #settings: S3StoreSettings
  readonly #requests: S3Requests

  constructor(storeId: string, settings: S3StoreSettings, gate: OutboundGate) {
    this.storeId = storeId
    this.#settings = settings
    this.#requests = new S3Requests(storeId, settings, settings.credentials, gate)
  }

  async put(key: string, source: () => Readable, sizeBytes: number, signal?: AbortSignal): Promise<void> {
    const { partBytes } = this.#settings
    if (sizeBytes > partBytes) return this.#putInParts(key, source, sizeBytes, signal)
    const body = await wholeOf(source())
    if (body.length !== sizeBytes) throw this.#shorter(key)
    const answer = await this.#requests.ask({ method: 'PUT', key: this.#keyOf(key), headers: { ...DICOM, ...this.#encryption }, body, signal })
    answer.resume()
  }

  async #putInParts(key: string, source: () => Readable, sizeBytes: number, signal: AbortSignal | undefined): Promise<void> {
    const at = this.#keyOf(key)
    const begun = await this.#requests.text({ method: 'POST', key: at, query: { uploads: '' }, headers: { ...DICOM, ...this.#encryption }, signal })
    const uploadId = unescapeXml(textOfElement(begun, 'UploadId') ?? '')
    if (uploadId === '') throw new Problem('store/refused', { storeId: this.storeId, key, reason: 'no upload ID' })
    try {
      const tags: string[] = []
      let sent = 0
      for await (const body of inParts(source(), partSize(this.#settings.partBytes, sizeBytes))) {
        const answer = await this.#requests.ask({ method: 'PUT', key: at, query: { partNumber: String(tags.length + 1), uploadId }, body, signal })
        answer.resume()
        tags.push(String(answer.headers.etag ?? ''))
        sent += body.length
      }
      if (sent !== sizeBytes) throw this.#shorter(key)
      const parts = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag.replaceAll('"', '&quot;')}</ETag></Part>`).join('')
      const body = Buffer.from(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts}</CompleteMultipartUpload>`)
      const done = await this.#requests.text({ method: 'POST', key: at, query: { uploadId }, headers: XML, body, signal })
      // A server may begin with 200 and tell of a failure in the body.
      if (textOfElement(done, 'Error') !== undefined) throw new Problem('store/unreachable', { storeId: this.storeId, key, code: textOfElement(done, 'Code') })
    } catch (error) {
      await this.#requests.ask({ method: 'DELETE', key: at, query: { uploadId } }).then(
        (answer) => answer.resume(),
        () => undefined, // the bucket's own rule for unfinished uploads removes it
      )
      throw error
    }
  }

  async open(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    const headers = range ? { range: `bytes=${range.start}-${range.end - 1}` } : undefined
    return this.#requests.ask({ method: 'GET', key: this.#keyOf(key), ...(headers && { headers }), signal })
  }

  async head(key: string): Promise<StoredObject | undefined> {
    try {
      const answer = await this.#requests.ask({ method: 'HEAD', key: this.#keyOf(key) })
      answer.resume()
      return { key, sizeBytes: Number(answer.headers['content-length']) }
    } catch (error) {
      if (isProblem(error) && error.code === 'store/no-object') return undefined
      throw error
    }
  }

  async delete(key: string): Promise<void> {
    try {
      ;(await this.#requests.ask({ method: 'DELETE', key: this.#keyOf(key) })).resume()
    } catch (error) {
      if (!isProblem(error) || error.code !== 'store/no-object') throw error
    }
  }

  async *list(prefix = ''): AsyncGenerator<StoredObject> {
    let token: string | undefined
    do {
      const query = { 'list-type': '2', 'max-keys': '1000', prefix: this.#keyOf(prefix), ...(token !== undefined && { 'continuation-token': token }) }
      const page = await this.#requests.text({ method: 'GET', key: '', query })
      for (const content of elements(page, 'Contents')) {
        const key = unescapeXml(textOfElement(content, 'Key') ?? '')
        yield { key: key.slice(this.#settings.prefix.length), sizeBytes: Number(textOfElement(content, 'Size')) }
      }
      token = textOfElement(page, 'IsTruncated') === 'true' ? unescapeXml(textOfElement(page, 'NextContinuationToken') ?? '') : undefined
    } while (token)
  }

  capacity(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  close(): void {
    this.#requests.close()
  }

  get #encryption(): Record<string, string> {
    const { serverSideEncryption } = this.#settings
    return serverSideEncryption === undefined ? {} : { 'x-amz-server-side-encryption': serverSideEncryption }
  }

  #keyOf(key: string): string {
    return this.#settings.prefix + key
  }

  #shorter(key: string): Problem {
    return new Problem('store/refused', { storeId: this.storeId, key, reason: 'the source is not as long as told' })
  }
}

const partSize = (partBytes: number, sizeBytes: number): number => Math.max(partBytes, Math.ceil(sizeBytes / 10_000))

async function wholeOf(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}

/** One part is in memory at a time. */
async function* inParts(source: Readable, partBytes: number): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    let rest = Buffer.from(chunk as Uint8Array)
    while (bytes + rest.length >= partBytes) {
      const fits = rest.subarray(0, partBytes - bytes)
      rest = rest.subarray(fits.length)
      yield Buffer.concat([...chunks, fits])
      chunks = []
      bytes = 0
    }
    if (rest.length > 0) chunks.push(rest)
    bytes += rest.length
  }
  if (bytes > 0) yield Buffer.concat(chunks)
}
