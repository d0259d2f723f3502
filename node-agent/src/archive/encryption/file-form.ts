import { Buffer } from 'node:buffer'
import { randomBytes, SM4_IV_BYTES } from 'pki'

/*
 * An encrypted file is a header of two slots and, behind it, SM4-CTR over the plain bytes: byte n of the plain file lies at HEADER_BYTES + n,
 * so that headers, frames and pieces are read where they are. Each slot says everything; of two, the one with the higher revision counts.
 * Wrapping the key anew writes the slot that does not count, so there is a whole header at every moment.
 *
 *     0  16  magic                          32  64  id: ASCII, zeros behind it
 *    16   1  version                        96  16  first counter block
 *    17   1  cipher: 1 = SM4-CTR           112  32  zeros: a Part 10 file has DICM at 128
 *    18   2  length of the header          144   2  length of the wrapped key
 *    20   4  revision of the slot          146      the wrapped key: text of the vault, zeros behind it
 *    24   8  zeros
 */
export const HEADER_BYTES = 1024
const SLOT_BYTES = HEADER_BYTES / 2
const MAGIC = Buffer.from('LIANPIAN\rSM4\n\x1a\0\0', 'latin1')
const VERSION = 1
const SM4_CTR = 1
/** What is authenticated together with the key, and everything a slot says of the content. */
const HEAD_BYTES = 144
const ID_AT = 32
const ID_BYTES = 64
const IV_AT = 96
const WRAPPED_AT = 146

/** Encrypted files have it at the end of their names, so that a row tells what its file is before the file is opened. */
export const ENCRYPTED = '.sm4'
export const isEncryptedPath = (path: string): boolean => path.endsWith(ENCRYPTED)

/** What a slot says. */
export interface Slot {
  readonly revision: number
  /** Whose content it is: file id of an instance, or a digest of the place of another file. */
  readonly id: string
  readonly iv: Uint8Array
  /** Data key, wrapped by the vault. */
  readonly wrapped: string
  /** The bytes that wrapping binds the key to. */
  readonly head: Uint8Array
}

/** Makes the authenticated part of a slot. @param id at most 64 characters of ASCII. */
export function newHead(id: string, { revision = 1, iv = randomBytes(SM4_IV_BYTES) }: { revision?: number; iv?: Uint8Array } = {}): Buffer {
  if (!/^[\x21-\x7e]{1,64}$/.test(id)) throw new RangeError('the id of an encrypted file is at most 64 characters of ASCII')
  const head = Buffer.alloc(HEAD_BYTES)
  MAGIC.copy(head)
  head.writeUInt8(VERSION, 16)
  head.writeUInt8(SM4_CTR, 17)
  head.writeUInt16BE(HEADER_BYTES, 18)
  head.writeUInt32BE(revision, 20)
  head.write(id, ID_AT, 'latin1')
  head.set(iv, IV_AT)
  return head
}

/** One slot of 512 bytes. */
export function slotOf(head: Uint8Array, wrapped: string): Buffer {
  if (wrapped.length > SLOT_BYTES - WRAPPED_AT) throw new RangeError('the wrapped key is too long for its slot')
  const slot = Buffer.alloc(SLOT_BYTES)
  slot.set(head)
  slot.writeUInt16BE(wrapped.length, HEAD_BYTES)
  slot.write(wrapped, WRAPPED_AT, 'latin1')
  return slot
}

/** The header of a new file: both slots say the same. */
export const headerOf = (slot: Buffer): Buffer => Buffer.concat([slot, slot])

/** Where the slot lies that may be written while the other one counts. */
export const otherSlotAt = (header: Uint8Array, slot: Slot): number => (parseSlot(header.subarray(0, SLOT_BYTES))?.revision === slot.revision ? SLOT_BYTES : 0)

/** The slots that are one, newest first; none for anything that is not an encrypted file of ours. */
export function slotsOf(header: Uint8Array): Slot[] {
  if (header.length < HEADER_BYTES) return []
  const slots = [header.subarray(0, SLOT_BYTES), header.subarray(SLOT_BYTES, HEADER_BYTES)].flatMap((bytes) => parseSlot(bytes) ?? [])
  return slots.sort((a, b) => b.revision - a.revision)
}

function parseSlot(bytes: Uint8Array): Slot | undefined {
  const slot = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const known = slot.subarray(0, MAGIC.length).equals(MAGIC) && slot.readUInt8(16) === VERSION && slot.readUInt8(17) === SM4_CTR
  const length = slot.readUInt16BE(HEAD_BYTES)
  if (!known || slot.readUInt16BE(18) !== HEADER_BYTES || length > SLOT_BYTES - WRAPPED_AT) return undefined
  const wrapped = slot.toString('latin1', WRAPPED_AT, WRAPPED_AT + length)
  if (!/^[\x21-\x7e]+$/.test(wrapped)) return undefined
  return {
    revision: slot.readUInt32BE(20),
    id: slot.toString('latin1', ID_AT, ID_AT + ID_BYTES).replace(/\0+$/, ''),
    iv: Uint8Array.from(slot.subarray(IV_AT, IV_AT + SM4_IV_BYTES)),
    wrapped,
    head: Uint8Array.from(slot.subarray(0, HEAD_BYTES)),
  }
}
