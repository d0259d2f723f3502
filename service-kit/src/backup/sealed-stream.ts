import { Buffer } from 'node:buffer'
import { GCM_TAG_BYTES, randomBytes, type Sm4Gcm } from 'pki'
import { Problem } from 'specs'

const MAGIC = Buffer.from('LPB1')
const PREFIX_BYTES = 8
const CHUNK_BYTES = 1024 * 1024

/**
 * A file of any length under SM4-GCM: chunks of 1 MiB, each with its number and whether it is the last in its nonce, so that none can be
 * left out, moved or appended. Layout: `LPB1`, 8 random bytes, then the chunks.
 *
 * @param beside binds the file to what it is (its name in the repository).
 */
export async function* sealStream(cipher: Sm4Gcm, plain: AsyncIterable<Uint8Array>, beside: string): AsyncGenerator<Uint8Array> {
  const prefix = randomBytes(PREFIX_BYTES)
  yield Buffer.concat([MAGIC, prefix])
  let index = 0
  let held: Uint8Array = new Uint8Array(0)
  for await (const chunk of inChunks(plain, CHUNK_BYTES)) {
    // The one before is known not to be the last only now.
    if (index++ > 0) yield cipher.seal(nonceOf(prefix, index - 2, false), held, Buffer.from(beside))
    held = chunk
  }
  yield cipher.seal(nonceOf(prefix, Math.max(0, index - 1), true), held, Buffer.from(beside))
}

/** @throws {Problem} backup/damaged when anything is changed, missing or too much. */
export async function* openStream(cipher: Sm4Gcm, sealed: AsyncIterable<Uint8Array>, beside: string): AsyncGenerator<Uint8Array> {
  const damaged = () => new Problem('backup/damaged', { what: beside })
  let prefix: Uint8Array | undefined
  let index = 0
  let held: Uint8Array | undefined
  const opened = (chunk: Uint8Array, at: number, isLast: boolean) => {
    const plain = prefix && cipher.open(nonceOf(prefix, at, isLast), chunk, Buffer.from(beside))
    if (!plain) throw damaged()
    return plain
  }
  for await (const part of inChunks(sealed, CHUNK_BYTES + GCM_TAG_BYTES, MAGIC.length + PREFIX_BYTES)) {
    if (prefix === undefined) {
      if (part.length !== MAGIC.length + PREFIX_BYTES || !MAGIC.equals(part.subarray(0, MAGIC.length))) throw damaged()
      prefix = Uint8Array.from(part.subarray(MAGIC.length))
      continue
    }
    if (held !== undefined) yield opened(held, index++, false)
    held = part
  }
  if (held === undefined) throw damaged()
  yield opened(held, index, true)
}

function nonceOf(prefix: Uint8Array, index: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(12)
  nonce.set(prefix)
  // 31 bits of chunks of 1 MiB: 2 PiB in one file.
  nonce.writeUInt32BE(((isLast ? 0x8000_0000 : 0) | index) >>> 0, PREFIX_BYTES)
  return nonce
}

/** Cuts a stream into pieces of one size; the last may be shorter. @param first size of the first piece, if another. */
async function* inChunks(stream: AsyncIterable<Uint8Array>, size: number, first = size): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let length = 0
  let wanted = first
  for await (const part of stream) {
    waiting.push(part)
    length += part.length
    if (length < wanted) continue
    const all = Buffer.concat(waiting)
    let at = 0
    while (all.length - at >= wanted) {
      yield all.subarray(at, at + wanted)
      at += wanted
      wanted = size
    }
    waiting = at < all.length ? [all.subarray(at)] : []
    length = all.length - at
  }
  if (length > 0) yield Buffer.concat(waiting)
}
