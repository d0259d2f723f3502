import { Buffer } from 'node:buffer'
import { noteOf, Problem, problemFromNote, type ProblemNote } from 'specs'
import type { PieceCipher } from 'pki'
import { z } from 'zod'

/**
 * What answers a piece or metadata request. The first byte tells: 0 a refusal sealed under the session keys, 1 a piece
 * (PieceCipher's own version byte), 2 metadata, 3 "no such session", which nobody can seal because there are no keys.
 */
const REFUSAL = 0
const PIECE = 1
const METADATA = 2
const NO_SESSION = 3

const Note = z.object({ code: z.string().max(64), facts: z.record(z.string(), z.unknown()) })

export function refusalFrame(cipher: PieceCipher, error: unknown): Uint8Array {
  const note: ProblemNote = noteOf(error)
  return Buffer.concat([Buffer.of(REFUSAL), cipher.sealFrame('refusal', Buffer.from(JSON.stringify(note), 'utf8'))])
}

export const noSessionFrame = (): Uint8Array => Buffer.of(NO_SESSION)

export function metadataFrame(blob: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(METADATA), blob])
}

/**
 * @returns the piece frame, or the blob of a metadata answer.
 * @throws {Problem} the refusal of the other side; transfer/unknown-session; transfer/bad-request when it is none of these.
 */
export function openAnswer(cipher: PieceCipher, frame: Uint8Array, expected: 'piece' | 'metadata'): Uint8Array {
  switch (frame[0]) {
    case PIECE:
      if (expected === 'piece') return frame
      break
    case METADATA:
      if (expected === 'metadata') return frame.subarray(1)
      break
    case REFUSAL: {
      const text = Buffer.from(cipher.openFrame('refusal', frame.subarray(1))).toString('utf8')
      throw problemFromNote(Note.parse(JSON.parse(text)))
    }
    case NO_SESSION:
      throw new Problem('transfer/unknown-session')
  }
  throw new Problem('transfer/bad-request', { frame: expected })
}

/** Reads the clear part of a request frame before its MAC can be checked: the session it names decides the key. */
export function clearPart(frame: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(frame.subarray(32)).toString('utf8'))
  } catch (cause) {
    throw new Problem('transfer/bad-request', { frame: 'request' }, { cause })
  }
}
