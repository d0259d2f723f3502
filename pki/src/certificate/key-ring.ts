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
  #earlier: readonly DecryptionKey[]

  constructor(current: Identity) {
    this.#current = current
    this.#earlier = current.earlier ?? []
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

  get earlier(): readonly DecryptionKey[] {
    return this.#earlier
  }

  /** From now on. @throws {Problem} certificate/invalid for the certificate of somebody else. */
  renew(next: Identity): void {
    if (next.party !== this.party) throw new Problem('certificate/invalid', { reason: 'party', party: next.party })
    const held = new Set(decryptionKeysOf({ ...next, earlier: [] }).map(({ certificate }) => certificate.serial))
    const kept = [...decryptionKeysOf(this), ...(next.earlier ?? [])]
    const bySerial = new Map(kept.filter(({ certificate }) => !held.has(certificate.serial)).map((key) => [key.certificate.serial, key]))
    this.#earlier = [...bySerial.values()]
    this.#current = next
  }
}
