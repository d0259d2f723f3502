/**
 * The S-box of SM4 (GB/T 32907-2016 6.2) as arithmetic instead of a table of 256 octets: S(x) = A·(A·x + c)⁻¹ + c over
 * GF(2⁸) modulo x⁸+x⁷+x⁶+x⁵+x⁴+x²+1. An octet is split into two nibbles k, i of the subfield GF(16), x = k + i·t with
 * t² = a·t + a; the inverse then needs only tables of sixteen entries, which a vector shuffle reads for sixteen octets at
 * once and in the same time whatever they hold. A table of 256 in memory tells its index by the cache.
 */
const POLYNOMIAL = 0x1f5
const CIRCULANT = 0xa7
const C = 0xd3
/** Stands for 1/0: an index outside a table of sixteen, for which a shuffle answers zero. */
const INFINITY = 0x80

function times(left: number, right: number): number {
  let product = 0
  for (let factor = right, shifted = left; factor > 0; factor >>= 1) {
    if (factor & 1) product ^= shifted
    shifted <<= 1
    if (shifted & 0x100) shifted ^= POLYNOMIAL
  }
  return product
}

const inverses: Uint8Array = (() => {
  const table = new Uint8Array(256)
  for (let left = 1; left < 256; left++) {
    for (let right = left; right < 256; right++) {
      if (times(left, right) !== 1) continue
      table[left] = right
      table[right] = left
    }
  }
  return table
})()
const inverse = (octet: number): number => inverses[octet]!

/** A·x: bit n is the parity of x under the circulant turned left n times. */
function affine(octet: number): number {
  let result = 0
  for (let bit = 0; bit < 8; bit++) {
    const row = ((CIRCULANT << bit) | (CIRCULANT >> (8 - bit))) & 0xff
    let parity = row & octet
    parity ^= parity >> 4
    parity ^= parity >> 2
    result |= ((parity ^ (parity >> 1)) & 1) << bit
  }
  return result
}

/** S(x), for the few octets of a key schedule. */
export const sbox = (octet: number): number => affine(inverse(affine(octet) ^ C)) ^ C

/** Elements of GF(16) inside GF(2⁸) by nibble: sums of a basis, found rather than chosen. */
const subfield: readonly number[] = (() => {
  const isInside = (octet: number) => {
    let power = octet
    for (let squaring = 0; squaring < 4; squaring++) power = times(power, power)
    return power === octet
  }
  let sums = [0]
  for (let octet = 1; octet < 256; octet++) {
    if (isInside(octet) && !sums.includes(octet)) sums = [...sums, ...sums.map((sum) => sum ^ octet)]
  }
  return sums
})()
const nibbleOf = (element: number): number => subfield.indexOf(element)

const [a, t] = (() => {
  for (const candidate of subfield.slice(1)) {
    for (let root = 0; root < 256; root++) {
      const isRoot = (times(root, root) ^ times(candidate, root) ^ candidate) === 0
      if (isRoot && nibbleOf(root) < 0) return [candidate, root] as const
    }
  }
  throw new Error('GF(2⁸) has no such extension') // arithmetic says it has
})()

const nibbles: ReadonlyMap<number, number> = new Map(
  subfield.flatMap((high, i) => subfield.map((low, k) => [low ^ times(high, t), (i << 4) | k] as const)),
)
const table = (entry: (nibble: number) => number): Uint8Array => Uint8Array.from({ length: 16 }, (_, nibble) => entry(nibble))

/**
 * For an octet x: (i, k) = inLow[x & 15] ^ inHigh[x >> 4], j = i ^ k, and with / for `reciprocal`, a/k for `scaled`:
 * u = /(/i ^ a/k) ^ j, v = /(/j ^ a/k) ^ i, and S(x) = outU[u] ^ outV[v] ^ constant. Every index of 16 or more reads zero.
 * Why: 1/u = (k + a·i)/N and 1/v = (k + a·j)/N with the norm N = k² + a·i·j; both components of the inverse are sums of them.
 */
export const shuffleTables = {
  inLow: table((nibble) => nibbles.get(affine(nibble) ^ C)!),
  inHigh: table((nibble) => nibbles.get(affine(nibble << 4))!),
  reciprocal: table((nibble) => (nibble === 0 ? INFINITY : nibbleOf(inverse(subfield[nibble]!)))),
  scaled: table((nibble) => (nibble === 0 ? INFINITY : nibbleOf(times(a, inverse(subfield[nibble]!))))),
  outU: table((nibble) => affine(times(inverse(subfield[nibble]!), 1 ^ times(t, inverse(a)) ^ times(t, inverse(times(a, a)))))),
  outV: table((nibble) => affine(times(inverse(subfield[nibble]!), times(t, inverse(times(a, a)))))),
  constant: C,
} as const
