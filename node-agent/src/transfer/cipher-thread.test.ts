import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { PieceCipher } from 'pki'
import { createLog } from 'service-kit'
import { PieceRequest } from 'specs'
import { CipherThread } from './cipher-thread.ts'

const aRequest = (length: number, counter = 1) =>
  PieceRequest.parse({ sessionId: randomUUID(), counter, sopInstanceUid: '1.2.3', offset: 0, length })

describe('the cipher thread', () => {
  it('seals and opens pieces as PieceCipher does, several at once, and says when one is not genuine; before and after it has loaded', async () => {
    // SEC-11
    const thread = new CipherThread(createLog({ name: 'test', level: 'silent' }))
    try {
      const keys = PieceCipher.generateKeys()
      const several = async () => {
        const pieces = Array.from({ length: 5 }, (_, index) => ({ request: aRequest(70_000, index + 1), plain: randomBytes(70_000) }))
        await Promise.all(
          pieces.map(async ({ request, plain }) => {
            const expected = Uint8Array.from(plain) // what is handed over belongs to the thread
            const frame = await thread.seal(keys, request, plain)
            expect(Buffer.from(new PieceCipher(keys.encryptionKey, keys.macKey).openPiece(request, frame)).equals(expected)).toBe(true)
            expect(Buffer.from(await thread.open(keys, request, frame)).equals(expected)).toBe(true)
          }),
        )
        const { request, plain } = { request: aRequest(100), plain: randomBytes(100) }
        const frame = await thread.seal(keys, request, plain)
        await expect(thread.open(keys, { ...request, counter: 2 }, frame)).rejects.toMatchObject({ code: 'transfer/bad-request' })
      }
      await several()
      await vi.waitFor(async () => {
        const plain = Uint8Array.from(randomBytes(70_000))
        await thread.seal(keys, aRequest(70_000), plain)
        expect(plain).toHaveLength(0) // it went to another thread
      }, 15_000)
      await several()
    } finally {
      await thread.close()
    }
  })
})
