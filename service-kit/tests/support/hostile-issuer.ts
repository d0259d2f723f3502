import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose'

/** What the browser was sent to the provider with. */
export interface Visit {
  readonly state: string
  readonly nonce: string
  readonly challenge: string
  readonly redirectUri: string
}

export const visitOf = (address: string): Visit => {
  const asked = new URL(address).searchParams
  const text = (name: string) => asked.get(name) ?? ''
  return { state: text('state'), nonce: text('nonce'), challenge: text('code_challenge'), redirectUri: text('redirect_uri') }
}

/** The claims of an honest answer, and the key of the provider; the test changes what it wants. */
export type MakeToken = (honest: JWTPayload, key: CryptoKey) => Promise<string | undefined>

/** A provider (OpenID Connect Core 1.0) that says what it is told to say; real providers refuse to. */
export class HostileIssuer {
  readonly url: string
  /** What the code is exchanged for. */
  idToken: MakeToken = (honest, key) => signed(honest, key)
  userInfo: Record<string, unknown> = {}
  /** Forms that were posted to the token endpoint. */
  readonly exchanged: URLSearchParams[] = []
  readonly #key: CryptoKey
  readonly #jwk: object
  readonly #server

  private constructor(server: ReturnType<typeof createServer>, key: CryptoKey, jwk: object) {
    this.#server = server
    this.#key = key
    this.#jwk = jwk
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<HostileIssuer> {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new HostileIssuer(server, privateKey, { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' })
  }

  /** A code is the visit that it was given in: it tells which nonce and challenge an honest provider would remember. */
  codeFor = (visit: Visit, sub: string): string => Buffer.from(JSON.stringify({ ...visit, sub })).toString('base64url')

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const json = (body: unknown, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const { pathname } = new URL(request.url ?? '/', this.url)
    if (pathname === '/keys') return void json({ keys: [this.#jwk] })
    if (pathname === '/userinfo') return void json(this.userInfo)
    if (pathname !== '/token') {
      const endpoints = { authorization_endpoint: `${this.url}/authorize`, token_endpoint: `${this.url}/token`, userinfo_endpoint: `${this.url}/userinfo`, jwks_uri: `${this.url}/keys` }
      return void json({ issuer: this.url, ...endpoints, response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'], code_challenge_methods_supported: ['S256'] })
    }
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const form = new URLSearchParams(text)
    this.exchanged.push(form)
    const { nonce, challenge, sub } = JSON.parse(Buffer.from(form.get('code') ?? '', 'base64url').toString()) as Visit & { sub: string }
    if (createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url') !== challenge) return void json({ error: 'invalid_grant' }, 400)
    const now = Math.floor(Date.now() / 1000)
    const idToken = await this.idToken({ iss: this.url, aud: 'lianpian', sub, nonce, iat: now, exp: now + 300, preferred_username: sub }, this.#key)
    json({ access_token: 'a', token_type: 'Bearer', expires_in: 300, ...(idToken !== undefined && { id_token: idToken }) })
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

export const signed = (claims: JWTPayload, key: CryptoKey, header: { alg: string; kid?: string } = { alg: 'RS256', kid: 'k1' }): Promise<string> => new SignJWT(claims).setProtectedHeader(header).sign(key)
