import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { ENVELOPE_MAX_BYTES, type EnvelopeHeader, type EnvelopeRecipient, type EpochMs, MessageId, parseWith, Problem } from 'specs'
import { BoundedMap } from '../cache/bounded-map.ts'
import type { Certificate } from '../certificate/certificate.ts'
import type { Identity } from '../certificate/identity.ts'
import { encodeBase64 } from '../der/base64.ts'
import { sm2Encrypt } from '../sm2/encryption.ts'
import { sm2Sign } from '../sm2/signature.ts'
import { hmacSm3 } from '../sm3/sm3.ts'
import { randomBytes, sm4CtrEncrypt } from '../sm4/sm4.ts'
import { KEY_PAIR_BYTES, type KeyPair48, splitKeyPair, wrapKey } from './content-key.ts'

const KEK_LIFETIME_MS = 3_600_000
const CACHED_KEKS = 2_000

export interface SealInput {
  /** Stays the same when the same message is sealed again, so that the receiver sees the repetition. Random unless given. */
  readonly id?: MessageId
  /** Certificates already checked by a TrustStore; each recipient finds its own key. */
  readonly recipients: readonly Certificate[]
  readonly body: Uint8Array | string
}

interface Kek extends KeyPair48 {
  readonly encryptedKek: string
  readonly until: EpochMs
}

/**
 * Seals envelopes v1 of one identity. Which bytes are protected by what:
 *
 * - `header` is the UTF-8 JSON as sent; nobody writes it a second time, so no canonical form is needed;
 * - `mac` = HMAC-SM3(content MAC key, header‖ciphertext), after encryption;
 * - `signature` = SM2 over header‖mac (default user ID), so it covers the ciphertext through the MAC, and a recipient,
 *   who knows the content key, still cannot put another text under it without a second preimage of SM3.
 *
 * Public-key encryption happens once per recipient and hour, not per message: that is most of the speed.
 */
export class Sealer {
  readonly #identity: Identity
  readonly #now: () => EpochMs
  readonly #kekLifetimeMs: number
  readonly #keks = new BoundedMap<string, Kek>(CACHED_KEKS)

  constructor(identity: Identity, options: { now?: () => EpochMs; kekLifetimeMs?: number } = {}) {
    this.#identity = identity
    this.#now = options.now ?? Date.now
    this.#kekLifetimeMs = options.kekLifetimeMs ?? KEK_LIFETIME_MS
  }

  /** @returns the envelope text (specs/envelope/v1). @throws {Problem} request/too-large over 4 MiB of text. */
  seal(input: SealInput): string {
    const id = input.id ?? parseWith(MessageId, randomUUID(), 'id')
    const body = typeof input.body === 'string' ? Buffer.from(input.body, 'utf8') : input.body
    const contentKey = randomBytes(KEY_PAIR_BYTES)
    const { encryption, mac: macKey } = splitKeyPair(contentKey)
    const iv = randomBytes(16)

    const header = this.#header(id, input.recipients, contentKey, iv)
    const headerBytes = Buffer.from(JSON.stringify(header), 'utf8')
    const ciphertext = sm4CtrEncrypt(encryption, iv, body)
    const mac = hmacSm3(macKey, headerBytes, ciphertext)
    const signature = sm2Sign(this.#identity.privateKey, Buffer.concat([headerBytes, mac]))

    // Base64 needs no escaping, so the text is put together directly: JSON.stringify would scan the whole body again.
    const text = `{"header":"${encodeBase64(headerBytes)}","ciphertext":"${encodeBase64(ciphertext)}","mac":"${encodeBase64(mac)}","signature":"${encodeBase64(signature)}"}`
    if (text.length > ENVELOPE_MAX_BYTES) throw new Problem('request/too-large', { sizeBytes: text.length, maxBytes: ENVELOPE_MAX_BYTES })
    return text
  }

  #header(id: MessageId, recipients: readonly Certificate[], contentKey: Uint8Array, iv: Uint8Array): EnvelopeHeader {
    if (recipients.length === 0) throw new RangeError('an envelope needs a recipient')
    return {
      v: 1,
      id,
      audience: [...new Set(recipients.map(({ party }) => party))],
      sealedAt: this.#now(),
      alg: 'SM2-SM3+SM4-CTR-HMAC-SM3',
      recipients: recipients.map((certificate) => this.#recipient(certificate, contentKey)),
      iv: encodeBase64(iv),
      certificateChain: [...this.#identity.certificateChain],
    }
  }

  #recipient(certificate: Certificate, contentKey: Uint8Array): EnvelopeRecipient {
    if (!certificate.keyUsage.has('keyEncipherment'))
      throw new Problem('certificate/invalid', { reason: 'key usage', serial: certificate.serial })
    const kek = this.#kekFor(certificate)
    return {
      party: certificate.party,
      certificateSerial: certificate.serial,
      encryptedKek: kek.encryptedKek,
      wrappedKey: encodeBase64(wrapKey(contentKey, kek)),
    }
  }

  #kekFor(certificate: Certificate): Kek {
    const now = this.#now()
    const held = this.#keks.get(certificate.fingerprintSm3)
    if (held && now < held.until) return held
    const key = randomBytes(KEY_PAIR_BYTES)
    const encryptedKek = encodeBase64(sm2Encrypt(certificate.publicKey, key))
    const made = { ...splitKeyPair(key), encryptedKek, until: now + this.#kekLifetimeMs }
    this.#keks.set(certificate.fingerprintSm3, made)
    return made
  }
}
