import { Buffer } from 'node:buffer'
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/** RFC 7914; 2^15 × 8 × 128 bytes = 32 MiB and some 80 ms per guess. */
const COST = { logN: 15, r: 8, p: 1 } as const
const KEY_BYTES = 32
/** Each needs 32 MiB and a thread that the database also wants. */
const MAX_AT_ONCE = 2

/** A password as it is stored: `scrypt$logN$r$p$salt$key`, so that the cost can grow later. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt, COST)
  return ['scrypt', COST.logN, COST.r, COST.p, salt.toString('base64'), key.toString('base64')].join('$')
}

/** @throws When `stored` is not of hashPassword. */
export async function isPassword(password: string, stored: string): Promise<boolean> {
  const [scheme, logN, r, p, salt, key] = stored.split('$')
  if (scheme !== 'scrypt' || !salt || !key) throw new Error('unknown form of a stored password')
  const expected = Buffer.from(key, 'base64')
  const given = await derive(password, Buffer.from(salt, 'base64'), { logN: Number(logN), r: Number(r), p: Number(p) })
  return given.length === expected.length && timingSafeEqual(given, expected)
}

let running = 0
const waiting: (() => void)[] = []

async function derive(password: string, salt: Uint8Array, cost: { logN: number; r: number; p: number }): Promise<Buffer> {
  if (running >= MAX_AT_ONCE) await new Promise<void>((admitted) => waiting.push(admitted))
  else running++
  try {
    const N = 2 ** cost.logN
    return await new Promise((resolve, reject) => {
      // The same word typed on two keyboards must be the same bytes.
      scrypt(password.normalize('NFKC'), salt, KEY_BYTES, { N, r: cost.r, p: cost.p, maxmem: 256 * N * cost.r }, (error, key) =>
        error ? reject(error) : resolve(key),
      )
    })
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
