import { Buffer } from 'node:buffer'
import { type PieceRequest, PieceRequest as PieceRequestSchema } from 'specs'
import { describe, expect, it } from 'vitest'
import { problemOf } from '../../tests/a-region.ts'
import { PieceCipher } from './piece-cipher.ts'

const session = PieceCipher.generateKeys()
const cipher = new PieceCipher(session.encryptionKey, session.macKey)
const piece = Buffer.from('pixel data of one instance')
const aRequest = (change: Partial<PieceRequest> = {}): PieceRequest =>
  PieceRequestSchema.parse({
    sessionId: '0b9ac6e2-51b1-4dd0-9a94-7c0a6f7ab0a3',
    counter: 4,
    sopInstanceUid: '1.2.3',
    offset: 1024,
    length: 1024,
    ...change,
  })

describe('a piece of a sealed image transfer', () => {
  it('comes back as it was, under a new iv each time', () => {
    const [one, two] = [cipher.sealPiece(aRequest(), piece), cipher.sealPiece(aRequest(), piece)]
    expect(Buffer.from(cipher.openPiece(aRequest(), one)).toString()).toBe(piece.toString())
    expect(Buffer.from(one).equals(Buffer.from(two))).toBe(false)
    expect(Buffer.from(one).includes('pixel')).toBe(false)
  })
  it('answers one request: another session, counter, instance, offset or length refuses it', () => {
    const sealed = cipher.sealPiece(aRequest(), piece)
    const others = [
      aRequest({ sessionId: 'c1f0e3a4-6b54-4b0f-8f39-2f2c3b0f0e11' }),
      aRequest({ counter: 5 }),
      aRequest({ sopInstanceUid: aRequest({ ...{} }).sopInstanceUid.replace('3', '4') as PieceRequest['sopInstanceUid'] }),
      aRequest({ offset: 0 }),
      aRequest({ length: 1025 }),
    ]
    for (const other of others) expect(problemOf(() => cipher.openPiece(other, sealed))).toBe('transfer/bad-request')
  })
  it('is refused when its header is altered, cut or lengthened, or when it holds more than was asked', () => {
    const sealed = Buffer.from(cipher.sealPiece(aRequest(), piece))
    for (let at = 0; at < 53; at++) {
      const altered = Buffer.from(sealed)
      altered[at]! ^= 1
      expect(problemOf(() => cipher.openPiece(aRequest(), altered))).toBe('transfer/bad-request')
    }
    for (const bad of [sealed.subarray(0, 52), sealed.subarray(0, -1), Buffer.concat([sealed, sealed]), Buffer.alloc(0)]) {
      expect(problemOf(() => cipher.openPiece(aRequest(), bad))).toBe('transfer/bad-request')
    }
    const short = aRequest({ length: 8 })
    expect(problemOf(() => cipher.openPiece(short, cipher.sealPiece(short, piece)))).toBe('transfer/bad-request')
  })
  it('shows an altered content in the digest of the instance, not before', () => {
    const sealed = Buffer.from(cipher.sealPiece(aRequest(), piece))
    sealed[sealed.length - 1]! ^= 1
    expect(Buffer.from(cipher.openPiece(aRequest(), sealed)).equals(piece)).toBe(false)
  })
})

describe('small frames and confidential blobs of a transfer', () => {
  it('open only whole, under their own label and session', () => {
    const frame = Buffer.from(cipher.sealFrame('request', piece))
    expect(Buffer.from(cipher.openFrame('request', frame)).toString()).toBe(piece.toString())
    expect(problemOf(() => cipher.openFrame('metadata', frame))).toBe('transfer/bad-request')
    const other = PieceCipher.generateKeys()
    expect(problemOf(() => new PieceCipher(other.encryptionKey, other.macKey).openFrame('request', frame))).toBe('transfer/bad-request')
    frame[40]! ^= 1
    expect(problemOf(() => cipher.openFrame('request', frame))).toBe('transfer/bad-request')
    expect(problemOf(() => cipher.openFrame('request', frame.subarray(0, 10)))).toBe('transfer/bad-request')
  })
  it('hide their content and belong to the request they answer', () => {
    const context = Buffer.from('request 7')
    const blob = Buffer.from(cipher.sealBlob(context, Buffer.from('张三')))
    expect(blob.includes('张三')).toBe(false)
    expect(Buffer.from(cipher.openBlob(context, blob)).toString()).toBe('张三')
    expect(problemOf(() => cipher.openBlob(Buffer.from('request 8'), blob))).toBe('transfer/bad-request')
    for (let at = 0; at < blob.length; at++) {
      const altered = Buffer.from(blob)
      altered[at]! ^= 1
      expect(problemOf(() => cipher.openBlob(context, altered))).toBe('transfer/bad-request')
    }
    expect(problemOf(() => cipher.openBlob(context, blob.subarray(0, 47)))).toBe('transfer/bad-request')
  })
  it('do not confuse where one part ends and the next begins', () => {
    const [ab, c, a, bc] = ['ab', 'c', 'a', 'bc'].map((text) => Buffer.from(text))
    expect(Buffer.from(cipher.mac('x', ab!, c!)).equals(cipher.mac('x', a!, bc!))).toBe(false)
  })
})
