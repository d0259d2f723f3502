import { Buffer } from 'node:buffer'
import { randomBytes, SM4_KEY_BYTES, sm3Hex } from 'pki'
import type { Vault } from 'service-kit'
import { isProblem, Problem } from 'specs'
import { headerOf, newHead, otherSlotAt, slotOf, slotsOf, type Slot } from './file-form.ts'

/** Of one file, made at random and never used for another one: no pair of key and counter is used twice. */
export interface FileKey {
  readonly encryptionKey: Uint8Array
  /** For files that are read as a whole and have no digest elsewhere. */
  readonly macKey: Uint8Array
  readonly iv: Uint8Array
}

const MAC_KEY_BYTES = 32
const CHECK = 'archive-key-check'

/** Keys of encrypted files: each lies in its file's header, wrapped under the node's vault (ADR 0016). */
export class FileKeys {
  readonly #vault: Pick<Vault, 'seal' | 'openBytes' | 'isCurrent'>

  constructor(vault: Pick<Vault, 'seal' | 'openBytes' | 'isCurrent'>) {
    this.#vault = vault
  }

  /** A key for a new file and the header that holds it. @param id see Slot. */
  create(id: string): { readonly key: FileKey; readonly header: Buffer } {
    const secret = randomBytes(SM4_KEY_BYTES + MAC_KEY_BYTES)
    const head = newHead(id)
    const header = headerOf(slotOf(head, this.#vault.seal(secret, contextOf(head))))
    return { key: keyOf(secret, slotsOf(header)[0]!.iv), header }
  }

  /** @throws {Problem} archive/damaged-file: no header, another file's, or changed. archive/wrong-key: wrapped under a key that this vault has not. */
  open(header: Uint8Array, id: string): FileKey {
    return this.#open(header, id).key
  }

  /**
   * The same key under the vault's key of today.
   * @returns the slot to write and where; undefined when that is how it is wrapped. @throws as open
   */
  rewrap(header: Uint8Array, id: string): { readonly at: number; readonly slot: Buffer } | undefined {
    const { key, slot } = this.#open(header, id)
    if (this.#vault.isCurrent(slot.wrapped)) return undefined
    const head = newHead(id, { revision: slot.revision + 1, iv: slot.iv })
    return { at: otherSlotAt(header, slot), slot: slotOf(head, this.#vault.seal(Buffer.concat([key.encryptionKey, key.macKey]), contextOf(head))) }
  }

  /** A value that only this vault opens. */
  checkValue(): string {
    return this.#vault.seal(CHECK, CHECK)
  }

  /** @throws {Problem} archive/wrong-key */
  check(sealed: string): void {
    try {
      this.#vault.openBytes(sealed, CHECK)
    } catch (error) {
      throw new Problem('archive/wrong-key', {}, { cause: error })
    }
  }

  #open(header: Uint8Array, id: string): { key: FileKey; slot: Slot } {
    const slots = slotsOf(header)
    if (slots.length === 0) throw new Problem('archive/damaged-file', { id, reason: 'header' })
    let wrongKey = false
    for (const slot of slots) {
      // Another file's header opens, and its content would be another patient's.
      if (slot.id !== id) continue
      try {
        return { key: keyOf(this.#vault.openBytes(slot.wrapped, contextOf(slot.head)), slot.iv), slot }
      } catch (error) {
        if (!isProblem(error) || error.code !== 'vault/unreadable') throw error
        wrongKey ||= error.facts['reason'] === 'key'
      }
    }
    throw new Problem(wrongKey ? 'archive/wrong-key' : 'archive/damaged-file', { id })
  }
}

/** The id of a file that is no instance: it belongs to its place below the folder. */
export const idOfPlace = (place: string): string => sm3Hex(Buffer.from(place, 'utf8'))

const contextOf = (head: Uint8Array): string => `archive-file/${Buffer.from(head).toString('base64url')}`

const keyOf = (secret: Uint8Array, iv: Uint8Array): FileKey => ({
  encryptionKey: Uint8Array.from(secret.subarray(0, SM4_KEY_BYTES)),
  macKey: Uint8Array.from(secret.subarray(SM4_KEY_BYTES)),
  iv,
})
