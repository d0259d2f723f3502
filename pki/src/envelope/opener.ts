import { Buffer } from 'node:buffer'
import { type EnvelopeHeader, type EnvelopeRecipient, type EpochMs, isProblem, type MessageId, type PartyId, Problem } from 'specs'
import { BoundedMap } from '../cache/bounded-map.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { decryptionKeysOf, type Identity } from '../certificate/identity.ts'
import type { TrustStore } from '../certificate/trust-store.ts'
import { decodeBase64 } from '../der/base64.ts'
import { sm2Decrypt } from '../sm2/encryption.ts'
import type { Sm2PrivateKey } from '../sm2/keys.ts'
import { sm2Verify } from '../sm2/signature.ts'
import { hmacSm3, sameMac } from '../sm3/sm3.ts'
import { sm4CtrDecrypt } from '../sm4/sm4.ts'
import { type KeyPair48, splitKeyPair, unwrapKey } from './content-key.ts'
import { parseEnvelope } from './envelope-text.ts'

const CACHED_KEKS = 4_000
/** How far a sender's clock may run ahead of ours. */
const FUTURE_MS = 300_000

export interface OpenExpectation {
  /** Whom the channel belongs to, where it says so (NATS subject). */
  readonly from?: PartyId
  /**
   * Content kept in a message of its own may be read long after it was sealed, also when its sender's certificate has been
   * replaced or has run out since. Who relayed it, and when, the message around it has shown.
   */
  readonly anyAge?: boolean
  /** When we recorded it as received, epoch ms: age, validity and revocation are then judged for that moment. Never the sender's word. */
  readonly receivedAt?: EpochMs
}

export interface OpenedEnvelope {
  readonly id: MessageId
  /** As named by the certificate, never by the body. */
  readonly sender: PartyId
  readonly sealedAt: EpochMs
  /** Still unparsed. */
  readonly body: Uint8Array
  readonly certificate: Certificate
}

/**
 * Opens signed envelopes: who sealed it, then whether it is for us and fresh; only then is there a body. Whether it is
 * new is asked of the inbox or a ReplayGuard afterwards, so that a forged envelope cannot use up the id of a genuine one.
 */
export class Opener {
  readonly #identity: Identity
  readonly #trust: TrustStore
  readonly #now: () => EpochMs
  readonly #maxAgeMs: number
  /** Decrypted key-encryption keys by their encrypted form; SM2 decryption is ten times the rest of the work. */
  readonly #keks = new BoundedMap<string, KeyPair48>(CACHED_KEKS)

  /** @param options.maxAgeMs must exceed the longest outage the channel promises to bridge. */
  constructor(identity: Identity, trust: TrustStore, options: { now?: () => EpochMs; maxAgeMs: number }) {
    this.#identity = identity
    this.#trust = trust
    this.#now = options.now ?? Date.now
    this.#maxAgeMs = options.maxAgeMs
  }

  /**
   * @param text envelope v1 as received, at most 4 MiB.
   * @throws {Problem} distinct for each reason, checked in this order (AGT-06, SEC-11): envelope/malformed;
   *   certificate/invalid, untrusted, revoked, expired; envelope/bad-signature, wrong-sender, wrong-audience, expired, undecryptable.
   * @see GB/T 32918.2-2016 (SM2 signature), GB/T 32905-2016 (SM3)
   */
  open(text: string | Uint8Array, expect: OpenExpectation = {}): OpenedEnvelope {
    const { header, headerBytes, iv, ciphertext, mac, signature } = parseEnvelope(text)
    const { id, sealedAt } = header
    const at = expect.receivedAt ?? this.#now()

    const certificate = expect.anyAge
      ? this.#sealerOfContent(header, at)
      : this.#trust.verifyChain(header.certificateChain, at, { historical: expect.receivedAt !== undefined })
    const genuine = sm2Verify(certificate.publicKey, Buffer.concat([headerBytes, mac]), signature)
    if (!genuine) throw new Problem('envelope/bad-signature', { id })
    const sender = certificate.party
    if (expect.from !== undefined && sender !== expect.from)
      throw new Problem('envelope/wrong-sender', { id, sender, expected: expect.from })
    if (!header.audience.includes(this.#identity.party)) throw new Problem('envelope/wrong-audience', { id, sender })
    if (!expect.anyAge) this.#checkAge(header, at)

    const contentKey = this.#contentKey(header)
    if (!sameMac(mac, hmacSm3(contentKey.mac, headerBytes, ciphertext)))
      throw new Problem('envelope/undecryptable', { id, sender, step: 'mac' })
    const body = sm4CtrDecrypt(contentKey.encryption, iv, ciphertext)
    return { id, sender, sealedAt, body, certificate }
  }

  /** Good now, replaced by a newer certificate, or run out since it sealed: which is the sender's word, never for a revoked one. */
  #sealerOfContent({ certificateChain, sealedAt }: EnvelopeHeader, at: EpochMs): Certificate {
    const options = { acceptSuperseded: true }
    try {
      return this.#trust.verifyChain(certificateChain, at, options)
    } catch (error) {
      const hasRunOut = isProblem(error) && error.code === 'certificate/expired' && sealedAt < at
      if (!hasRunOut) throw error
      return this.#trust.verifyChain(certificateChain, sealedAt, options)
    }
  }

  #checkAge({ id, sealedAt }: EnvelopeHeader, at: EpochMs): void {
    const ageMs = at - sealedAt
    const fresh = ageMs <= this.#maxAgeMs && ageMs >= -Math.min(this.#maxAgeMs, FUTURE_MS)
    if (!fresh) throw new Problem('envelope/expired', { id, ageMs, maxAgeMs: this.#maxAgeMs })
  }

  #contentKey(header: EnvelopeHeader): KeyPair48 {
    const ours = header.recipients.filter(({ party }) => party === this.#identity.party)
    if (ours.length === 0) throw new Problem('envelope/undecryptable', { id: header.id, step: 'no key for us' })
    const { certificate, encryption } = this.#identity
    const current = [encryption?.certificate.serial, certificate.serial]
    const named = ours.find(({ certificateSerial }) => current.includes(certificateSerial))
    return this.#unwrap(named ? [named] : ours)
  }

  /** A serial we do not hold now is of an earlier certificate of ours, or of one on its way to us: whichever key fits opens it. */
  #unwrap(recipients: readonly EnvelopeRecipient[]): KeyPair48 {
    let failure: unknown
    for (const recipient of recipients) {
      const wrapped = decodeBase64(recipient.wrappedKey)
      if (!wrapped) throw new Problem('envelope/malformed', { what: 'wrappedKey' })
      for (const key of decryptionKeysOf(this.#identity)) {
        try {
          return splitKeyPair(unwrapKey(wrapped, this.#kek(recipient, key)))
        } catch (error) {
          if (!isProblem(error) || error.code !== 'envelope/undecryptable') throw error
          failure ??= error
        }
      }
    }
    throw failure
  }

  #kek({ encryptedKek }: EnvelopeRecipient, key: Sm2PrivateKey): KeyPair48 {
    const held = this.#keks.get(encryptedKek)
    if (held) return held
    const encrypted = decodeBase64(encryptedKek)
    if (!encrypted) throw new Problem('envelope/malformed', { what: 'encryptedKek' })
    const kek = splitKeyPair(sm2Decrypt(key, encrypted))
    this.#keks.set(encryptedKek, kek)
    return kek
  }
}
