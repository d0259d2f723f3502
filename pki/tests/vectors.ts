import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** Known answers of pki/vectors; each file names its source. */
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'))
const hex = z.string().transform((text) => Uint8Array.from(Buffer.from(text, 'hex')))
const text = z.string().transform((value) => Uint8Array.from(Buffer.from(value, 'utf8')))

export const sm3Vectors = z
  .object({
    digests: z.array(z.object({ message: text, digest: hex })).min(1),
    hmacs: z.array(z.object({ key: hex, message: text, mac: hex })).min(1),
  })
  .parse(read('sm3'))

export const sm4Vectors = z
  .object({
    block: z.object({ key: hex, plain: hex, cipher: hex, afterMillionRounds: hex }),
    ctr: z.object({ key: hex, iv: hex, plain: hex, cipher: hex }),
  })
  .parse(read('sm4'))

export const sm2Vectors = z
  .object({
    key: z.object({ secret: hex, point: hex }),
    signature: z.object({ message: text, z: hex, e: hex, r: hex, s: hex }),
    encryption: z.object({ message: text, x: hex, y: hex, c3: hex, c2: hex }),
  })
  .parse(read('sm2'))
