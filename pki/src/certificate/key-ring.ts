import { type PartyId, Problem } from 'specs'
import type { Certificate } from './certificate.ts'
import { decryptionKeysOf, type DecryptionKey, type Identity } from './identity.ts'
import type { Sm2PrivateKey } from '../sm2/keys.ts'

/**
 * An identity whose certificate changes while it is in use. Whoever holds the ring signs with the newest key from the moment of
 * the change and goes on opening what was sealed for the earlier ones, so that no connection has to end for a renewal.
 */
export class KeyRing implements Identity {
  #current: Identity
  #otherKeys: readonly Sm2PrivateKey[]

  constructor(current: Identity) {
    this.#current = current
    this.#otherKeys = current.otherKeys ?? []
  }

  get party(): PartyId {
    return this.#current.party
  }

  get certificateChain(): readonly string[] {
    return this.#current.certificateChain
  }

  get certificate(): Certificate {
    return this.#current.certificate
  }

  get privateKey(): Sm2PrivateKey {
    return this.#current.privateKey
  }

  get encryption(): DecryptionKey | undefined {
    return this.#current.encryption
  }

  get otherKeys(): readonly Sm2PrivateKey[] {
    return this.#otherKeys
  }

  /** A key that is being certified: others may seal for it before we have heard its certificate. */
  expect(...keys: readonly Sm2PrivateKey[]): void {
    this.#otherKeys = distinct([...this.#otherKeys, ...keys])
  }

  /** From now on. @throws {Problem} certificate/invalid for the certificate of somebody else. */
  renew(next: Identity): void {
    if (next.party !== this.party) throw new Problem('certificate/invalid', { reason: 'party', party: next.party })
    this.#otherKeys = distinct([...decryptionKeysOf(this), ...(next.otherKeys ?? [])])
    this.#current = next
  }
}

const distinct = (keys: readonly Sm2PrivateKey[]): Sm2PrivateKey[] =>
  keys.filter((key, index) => keys.findIndex((other) => other.publicKey.equals(key.publicKey)) === index)
