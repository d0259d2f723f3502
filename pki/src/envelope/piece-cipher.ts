import { Buffer } from 'node:buffer'
import { Problem, type PieceRequest } from 'specs'
import { hmacSm3, sameMac } from '../sm3/sm3.ts'
import { randomBytes, SM4_IV_BYTES, SM4_KEY_BYTES, sm4CtrDecrypt, sm4CtrEncrypt } from '../sm4/sm4.ts'

const MAC_BYTES = 32
/** version(1)‖iv(16)‖length(4)‖mac(32), then the ciphertext. */
const PIECE_HEADER_BYTES = 1 + SM4_IV_BYTES + 4 + MAC_BYTES
const VERSION = 1

/**
 * The session keys of one image transfer (specs/transfer). Three kinds of frame, told apart inside the MAC, so that none
 * can pass for another:
 *
 * - small frames in clear (a request): mac‖bytes;
 * - pieces of image data: the MAC covers header and request only. Their content is protected by the SM3 of the whole
 *   instance in the signed manifest; a second pass over every byte would cost a third of the throughput;
 * - confidential blobs (DICOM JSON with the patient's name), which no manifest covers: the MAC covers everything.
 *
 * An iv is fresh and random for each piece, also when the same piece is sent again.
 */
export class PieceCipher {
  readonly #encryptionKey: Uint8Array
  readonly #macKey: Uint8Array

  constructor(encryptionKey: Uint8Array, macKey: Uint8Array) {
    if (encryptionKey.length !== SM4_KEY_BYTES || macKey.length !== MAC_BYTES)
      throw new RangeError('a transfer session has a 16-byte and a 32-byte key')
    this.#encryptionKey = encryptionKey
    this.#macKey = macKey
  }

  /** Fresh session keys, as the owner puts them into OpenedTransfer. */
  static generateKeys(): { encryptionKey: Uint8Array; macKey: Uint8Array } {
    return { encryptionKey: randomBytes(SM4_KEY_BYTES), macKey: randomBytes(MAC_BYTES) }
  }

  /** HMAC-SM3 over a label and parts, each with its length before it, so that no two lists of parts give the same bytes. */
  mac(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
    return hmacSm3(this.#macKey, ...[Buffer.from(label, 'utf8'), ...parts].flatMap((part) => [lengthOf(part), part]))
  }

  /** @throws {Problem} transfer/bad-request */
  verifyMac(label: string, mac: Uint8Array, ...parts: readonly Uint8Array[]): void {
    if (!sameMac(mac, this.mac(label, ...parts))) throw new Problem('transfer/bad-request', { frame: label })
  }

  /** A small frame in clear that nobody without the session key can make: mac(32)‖bytes. */
  sealFrame(label: string, bytes: Uint8Array): Uint8Array {
    return Buffer.concat([this.mac(label, bytes), bytes])
  }

  /** @returns the bytes, a view into the frame. @throws {Problem} transfer/bad-request */
  openFrame(label: string, frame: Uint8Array): Uint8Array {
    const bytes = frame.subarray(MAC_BYTES)
    this.verifyMac(label, frame.subarray(0, MAC_BYTES), bytes)
    return bytes
  }

  /**
   * Encrypts one piece as the answer to one request. The header MAC binds session, counter, instance, offset, the length
   * asked for, the length given (shorter at the end of the file) and the iv.
   */
  sealPiece(request: PieceRequest, plain: Uint8Array): Uint8Array {
    const iv = randomBytes(SM4_IV_BYTES)
    const header = Buffer.allocUnsafe(PIECE_HEADER_BYTES)
    header[0] = VERSION
    header.set(iv, 1)
    header.writeUInt32BE(plain.length, 1 + SM4_IV_BYTES)
    header.set(this.#pieceMac(request, header), PIECE_HEADER_BYTES - MAC_BYTES)
    return Buffer.concat([header, sm4CtrEncrypt(this.#encryptionKey, iv, plain)])
  }

  /**
   * @returns the decrypted piece; it is genuine only once the whole instance has the SM3 of the manifest.
   * @throws {Problem} transfer/bad-request when it does not answer exactly this request.
   */
  openPiece(request: PieceRequest, frame: Uint8Array): Uint8Array {
    const header = Buffer.from(frame.buffer, frame.byteOffset, Math.min(frame.length, PIECE_HEADER_BYTES))
    const whole = header.length === PIECE_HEADER_BYTES && header[0] === VERSION
    if (!whole || !sameMac(header.subarray(PIECE_HEADER_BYTES - MAC_BYTES), this.#pieceMac(request, header))) {
      throw new Problem('transfer/bad-request', { frame: 'piece' })
    }
    const length = header.readUInt32BE(1 + SM4_IV_BYTES)
    if (frame.length !== PIECE_HEADER_BYTES + length || length > request.length)
      throw new Problem('transfer/bad-request', { frame: 'piece length' })
    return sm4CtrDecrypt(this.#encryptionKey, header.subarray(1, 1 + SM4_IV_BYTES), frame.subarray(PIECE_HEADER_BYTES))
  }

  #pieceMac({ sessionId, counter, sopInstanceUid, offset, length }: PieceRequest, header: Uint8Array): Uint8Array {
    const binding = JSON.stringify([sessionId, counter, sopInstanceUid, offset, length])
    return this.mac('piece', Buffer.from(binding, 'utf8'), header.subarray(0, PIECE_HEADER_BYTES - MAC_BYTES))
  }

  /** Confidential and authentic as a whole: iv(16)‖ciphertext‖mac(32). `context` is what it answers, for example the request frame. */
  sealBlob(context: Uint8Array, plain: Uint8Array): Uint8Array {
    const iv = randomBytes(SM4_IV_BYTES)
    const ciphertext = sm4CtrEncrypt(this.#encryptionKey, iv, plain)
    return Buffer.concat([iv, ciphertext, this.mac('blob', context, iv, ciphertext)])
  }

  /** @throws {Problem} transfer/bad-request when altered, or sealed for another context. */
  openBlob(context: Uint8Array, sealed: Uint8Array): Uint8Array {
    if (sealed.length < SM4_IV_BYTES + MAC_BYTES) throw new Problem('transfer/bad-request', { frame: 'blob' })
    const iv = sealed.subarray(0, SM4_IV_BYTES)
    const ciphertext = sealed.subarray(SM4_IV_BYTES, -MAC_BYTES)
    this.verifyMac('blob', sealed.subarray(-MAC_BYTES), context, iv, ciphertext)
    return sm4CtrDecrypt(this.#encryptionKey, iv, ciphertext)
  }
}

function lengthOf(part: Uint8Array): Uint8Array {
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(part.length)
  return length
}
