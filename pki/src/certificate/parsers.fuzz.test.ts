import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { isProblem } from 'specs'
import { describe, expect, it } from 'vitest'
import { aRegion } from '../../tests/a-region.ts'
import { decodePem, encodePem, type PemLabel } from '../der/pem.ts'
import { decodeSignature } from '../sm2/signature-encoding.ts'
import { loadPrivateKey, loadPublicKey } from '../sm2/keys.ts'
import { sm2Decrypt, sm2Encrypt } from '../sm2/encryption.ts'
import { Opener } from '../envelope/opener.ts'
import { Sealer } from '../envelope/sealer.ts'
import { parseCertificate } from './certificate.ts'
import { createCsr, parseCsr } from './request.ts'
import { parseCrl } from './revocation-list.ts'

/** Every parser of ours, fed with noise and with genuine input that somebody has altered: it reads it or throws a Problem. */
const region = aRegion()
const hospital = region.party('hospital-a')
const expert = region.party('hospital-c')
const privateKeyPem = hospital.privateKey.exportPem()
const csr = createCsr({ party: hospital.party, organisation: '医院', regionId: region.regionId, privateKeyPem })

const parsers: readonly { label: PemLabel; genuine: string; parse: (pem: string) => unknown }[] = [
  { label: 'CERTIFICATE', genuine: hospital.certificate.pem, parse: parseCertificate },
  { label: 'CERTIFICATE REQUEST', genuine: csr, parse: parseCsr },
  { label: 'X509 CRL', genuine: region.crl([hospital, expert]), parse: parseCrl },
  { label: 'PRIVATE KEY', genuine: privateKeyPem, parse: (pem) => loadPrivateKey(pem) },
  { label: 'PUBLIC KEY', genuine: hospital.privateKey.publicKey.toPem(), parse: loadPublicKey },
]

type Outcome = 'read' | 'refused'
function readOrRefuse(work: () => unknown): Outcome {
  try {
    work()
    return 'read'
  } catch (error) {
    if (isProblem(error)) return 'refused'
    throw error
  }
}

/** One alteration: an octet replaced, some removed, some put in. */
const alteration = fc.record({ at: fc.nat(5_000), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) })
type Alteration = { at: number; remove: number; insert: Uint8Array }
function alter(bytes: Uint8Array, alterations: readonly Alteration[]): Uint8Array {
  return alterations.reduce<Uint8Array>((current, { at, remove, insert }) => {
    const from = at % (current.length + 1)
    return Buffer.concat([current.subarray(0, from), insert, current.subarray(from + remove)])
  }, bytes)
}

describe.each(parsers)('$label', ({ label, genuine, parse }) => {
  const bytes = decodePem(label, genuine)
  it('reads what we write', () => expect(readOrRefuse(() => parse(genuine))).toBe('read'))
  it('survives noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        expect(readOrRefuse(() => parse(encodePem(label, noise)))).toBe('refused')
      }),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (noise) => {
        expect(readOrRefuse(() => parse(noise))).toBe('refused')
      }),
      { numRuns: 100 },
    )
  })
  it('survives alterations', () => {
    fc.assert(
      fc.property(fc.array(alteration, { minLength: 1, maxLength: 3 }), (alterations) => {
        expect(['read', 'refused']).toContain(readOrRefuse(() => parse(encodePem(label, alter(bytes, alterations)))))
      }),
      { numRuns: 400 },
    )
  })
  it('refuses every shortening', () => {
    for (let length = 0; length < bytes.length; length += 3) {
      expect(readOrRefuse(() => parse(encodePem(label, bytes.subarray(0, length))))).toBe('refused')
    }
  })
})

describe('an altered certificate', () => {
  it('is never believed, whatever was altered', () => {
    const trust = region.trust()
    const bytes = decodePem('CERTIFICATE', hospital.certificate.pem)
    fc.assert(
      fc.property(fc.array(alteration, { minLength: 1, maxLength: 2 }), (alterations) => {
        const altered = alter(bytes, alterations)
        fc.pre(Buffer.compare(altered, bytes) !== 0)
        const chain = [encodePem('CERTIFICATE', altered), region.ca.certificatePem]
        expect(readOrRefuse(() => trust.verifyChain(chain, Date.now()))).toBe('refused')
      }),
      { numRuns: 400 },
    )
  })
  it('nested ten thousand deep does not exhaust the stack', () => {
    let nested: Uint8Array = new Uint8Array(0)
    const levels: Uint8Array[] = []
    for (let length = 0, level = 0; level < 10_000; level++) {
      const head = length < 128 ? [0x30, length] : length < 256 ? [0x30, 0x81, length] : [0x30, 0x82, length >> 8, length & 255]
      levels.unshift(Uint8Array.from(head))
      length += head.length
    }
    nested = Buffer.concat(levels)
    for (const { label, parse } of parsers) expect(readOrRefuse(() => parse(encodePem(label, nested)))).toBe('refused')
  })
})

describe('signatures, ciphertexts and envelopes', () => {
  it('survive noise: a signature is no signature, a ciphertext does not decrypt', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(decodeSignature(noise)).toBeUndefined()
        expect(hospital.privateKey.publicKey.verify(Buffer.from('text'), noise)).toBe(false)
        expect(readOrRefuse(() => sm2Decrypt(hospital.privateKey, noise))).toBe('refused')
      }),
      { numRuns: 200 },
    )
  })
  it('a ciphertext altered anywhere does not decrypt', () => {
    const sealed = sm2Encrypt(hospital.privateKey.publicKey, new Uint8Array(48).fill(1))
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Uint8Array.from(sealed)
        altered[at]! ^= change
        expect(readOrRefuse(() => sm2Decrypt(hospital.privateKey, altered))).toBe('refused')
      }),
      { numRuns: 60 },
    )
  })
  it('an envelope altered in any one character is refused (SEC-11)', () => {
    const text = new Sealer(hospital).seal({ recipients: [expert.certificate], body: '请会诊' })
    const opener = new Opener(expert, region.trust(), { maxAgeMs: 60_000 })
    expect(readOrRefuse(() => opener.open(text))).toBe('read')
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 127 }), (at, change) => {
        const altered = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ change) + text.slice(at + 1)
        expect(readOrRefuse(() => opener.open(altered))).toBe('refused')
      }),
      { numRuns: 500 },
    )
  })
  it('an envelope that is noise, or JSON of any other shape, is refused', () => {
    const opener = new Opener(expert, region.trust(), { maxAgeMs: 60_000 })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string(), fc.json()), (noise) => {
        expect(readOrRefuse(() => opener.open(noise))).toBe('refused')
      }),
      { numRuns: 300 },
    )
  })
})
