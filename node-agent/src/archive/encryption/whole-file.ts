import { Buffer } from 'node:buffer'
import { hmacSm3, sameMac } from 'pki'
import { Problem } from 'specs'
import { cipherBlocks } from './counter-mode.ts'
import type { FileEncryption } from './file-encryption.ts'
import { HEADER_BYTES } from './file-form.ts'

const MAC_BYTES = 32

/** Content that is read as a whole and has no digest elsewhere: encrypted as files are, with HMAC-SM3 over the result behind it. */
export function encryptWhole({ keys }: FileEncryption, id: string, plain: Uint8Array): Buffer {
  const { key, header } = keys.create(id)
  const bytes = cipherBlocks(key.encryptionKey, key.iv, 0, plain)
  return Buffer.concat([header, bytes, hmacSm3(key.macKey, bytes)])
}

/** @throws {Problem} archive/damaged-file, archive/wrong-key */
export function decryptWhole({ keys }: FileEncryption, id: string, file: Uint8Array): Buffer {
  const key = keys.open(file, id)
  const end = file.length - MAC_BYTES
  const bytes = file.subarray(HEADER_BYTES, Math.max(HEADER_BYTES, end))
  if (!sameMac(hmacSm3(key.macKey, bytes), file.subarray(Math.max(HEADER_BYTES, end)))) throw new Problem('archive/damaged-file', { id })
  return Buffer.from(cipherBlocks(key.encryptionKey, key.iv, 0, bytes))
}
