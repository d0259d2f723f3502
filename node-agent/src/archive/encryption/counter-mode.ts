import { SM4_IV_BYTES, sm4CtrEncrypt } from 'pki'

export const BLOCK_BYTES = 16

/** Counter block of the 16 bytes in which `offset` lies: `iv` plus the number of blocks before, as one number of 128 bits. */
export function counterAt(iv: Uint8Array, offset: number): Uint8Array {
  const counter = Uint8Array.from(iv)
  let carry = Math.floor(offset / BLOCK_BYTES)
  for (let octet = SM4_IV_BYTES - 1; octet >= 0 && carry > 0; octet--) {
    const sum = counter[octet]! + (carry % 256)
    counter[octet] = sum
    carry = Math.floor(carry / 256) + (sum > 255 ? 1 : 0)
  }
  return counter
}

/** Bytes by which what begins at `offset` follows the beginning of its block. */
export const intoBlock = (offset: number): number => offset % BLOCK_BYTES

/**
 * SM4-CTR from the middle of a file; enciphering and deciphering are the same.
 * @param blocks the bytes from `offset` on, behind `intoBlock(offset)` bytes of any content, so that they begin with a block and need no copy.
 */
export function cipherBlocks(key: Uint8Array, iv: Uint8Array, offset: number, blocks: Uint8Array): Uint8Array {
  return sm4CtrEncrypt(key, counterAt(iv, offset), blocks).subarray(intoBlock(offset))
}
