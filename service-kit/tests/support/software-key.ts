import { Buffer } from 'node:buffer'
import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto'

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest()

/** Just enough of CBOR (RFC 8949) for a credential: small numbers, byte strings, texts and maps. */
function cbor(value: number | Buffer | string | Map<number | string, unknown>): Buffer {
  const head = (major: number, n: number) => (n < 24 ? Buffer.from([(major << 5) | n]) : n < 256 ? Buffer.from([(major << 5) | 24, n]) : Buffer.from([(major << 5) | 25, n >> 8, n & 255]))
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, member]) => [cbor(key), cbor(member as number)])])
}

/** An authenticator in software (W3C WebAuthn): it signs whatever it is told, and like many keys it counts nothing unless asked to. */
export class SoftwareKey {
  readonly id = randomBytes(16)
  readonly #pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly rpId: string
  readonly origin: string

  constructor(rpId: string, origin: string) {
    this.rpId = rpId
    this.origin = origin
  }

  #authenticatorData(counter: number, rpId: string, credential = Buffer.alloc(0)): Buffer {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(counter)
    return Buffer.concat([sha256(rpId), Buffer.from([credential.length > 0 ? 0x45 : 0x05]), count, credential])
  }

  /** PublicKeyCredential.toJSON() of a new credential, attestation `none`. */
  create(challenge: string) {
    const { x = '', y = '' } = this.#pair.publicKey.export({ format: 'jwk' }) as { x?: string; y?: string }
    const cose = cbor(new Map<number, unknown>([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(x, 'base64url')], [-3, Buffer.from(y, 'base64url')]])) // prettier-ignore
    const length = Buffer.from([0, this.id.length])
    const authData = this.#authenticatorData(0, this.rpId, Buffer.concat([Buffer.alloc(16), length, this.id, cose]))
    const attestationObject = cbor(new Map<string, unknown>([['fmt', 'none'], ['attStmt', new Map()], ['authData', authData]])) // prettier-ignore
    const clientDataJSON = Buffer.from(JSON.stringify({ type: 'webauthn.create', challenge, origin: this.origin }))
    return { id: this.id.toString('base64url'), rawId: this.id.toString('base64url'), type: 'public-key', response: { clientDataJSON: clientDataJSON.toString('base64url'), attestationObject: attestationObject.toString('base64url') }, clientExtensionResults: {} }
  }

  /** PublicKeyCredential.toJSON() of an assertion; `type`, `origin` and `rpId` as somebody in between would have them. */
  get(challenge: string, { counter = 0, type = 'webauthn.get', origin = this.origin, rpId = this.rpId } = {}) {
    const clientDataJSON = Buffer.from(JSON.stringify({ type, challenge, origin }))
    const authenticatorData = this.#authenticatorData(counter, rpId)
    const signature = createSign('sha256').update(Buffer.concat([authenticatorData, sha256(clientDataJSON)])).sign(this.#pair.privateKey)
    const text = (bytes: Buffer) => bytes.toString('base64url')
    return { id: text(this.id), rawId: text(this.id), type: 'public-key', response: { clientDataJSON: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature) }, clientExtensionResults: {} }
  }
}
