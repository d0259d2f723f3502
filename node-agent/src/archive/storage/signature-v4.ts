import { createHash, createHmac } from 'node:crypto'

/** What an AWS Signature Version 4 is made with; every S3-compatible server takes it. */
export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
}

export interface RequestToSign {
  readonly method: string
  readonly host: string
  /** Percent-encoded as it is sent. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>
  /** Hex SHA-256 of the body, or `UNSIGNED-PAYLOAD` where TLS or a digest of ours guards it. */
  readonly contentSha256: string
}

export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
export const UNSIGNED = 'UNSIGNED-PAYLOAD'

/**
 * The headers that make a request ours.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (canonical request, string to sign, signing key)
 */
export function signed(request: RequestToSign, credentials: S3Credentials, at: Date): Record<string, string> {
  const stamp = at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '') // 20130524T000000Z
  const scope = `${stamp.slice(0, 8)}/${credentials.region}/s3/aws4_request`
  const headers: Record<string, string> = { ...request.headers, host: request.host, 'x-amz-content-sha256': request.contentSha256, 'x-amz-date': stamp }
  const names = Object.keys(headers).sort()
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim().replaceAll(/\s+/g, ' ')}`),
    '',
    names.join(';'),
    request.contentSha256,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n')
  const key = [stamp.slice(0, 8), credentials.region, 's3', 'aws4_request'].reduce<Buffer | string>((secret, part) => hmac(secret, part), `AWS4${credentials.secretAccessKey}`)
  const signature = hmac(key, toSign).toString('hex')
  return { ...headers, authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}` }
}

export const canonicalQuery = (query: Readonly<Record<string, string>>): string =>
  Object.keys(query)
    .sort()
    .map((name) => `${uriEncode(name)}=${uriEncode(query[name] ?? '')}`)
    .join('&')

/** RFC 3986 unreserved characters stay; encodeURIComponent leaves five more as they are. */
export const uriEncode = (text: string): string => encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

export const pathEncode = (path: string): string => path.split('/').map(uriEncode).join('/')
export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest()
