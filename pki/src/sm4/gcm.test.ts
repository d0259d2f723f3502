import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { sm4 } from 'sm-crypto-v2'
import { describe, expect, it } from 'vitest'
import { Sm4Gcm } from './gcm.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

describe('SM4-GCM', () => {
  it('answers the example of RFC 8998 A.1', () => {
    // SEC-11
    const gcm = new Sm4Gcm(hex('0123456789abcdeffedcba9876543210'))
    const nonce = hex('00001234567800000000abcd')
    const beside = hex('feedfacedeadbeeffeedfacedeadbeefabaddad2')
    const plain = hex(['aa', 'bb', 'cc', 'dd', 'ee', 'ff', 'ee', 'aa'].map((octet) => octet.repeat(8)).join(''))
    const sealed = gcm.seal(nonce, plain, beside)
    expect(Buffer.from(sealed).toString('hex')).toBe(
      '17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec',
    )
    expect(gcm.open(nonce, sealed, beside)).toEqual(Buffer.from(plain))
  })
  it('is what another implementation makes of the same bytes, whatever their length', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    fc.assert(
      fc.property(bytes(16), bytes(12), fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 40 }), (key, nonce, plain, beside) => {
        const { output, tag } = sm4.encrypt(plain, key, { mode: 'gcm', iv: nonce, associatedData: beside, output: 'array', outputTag: true } as never) as unknown as { output: Uint8Array; tag: Uint8Array }
        expect(Buffer.from(new Sm4Gcm(key).seal(nonce, plain, beside))).toEqual(Buffer.concat([output, tag]))
      }),
      { numRuns: 60 },
    )
  })
  it('opens nothing that was changed anywhere', () => {
    const gcm = new Sm4Gcm(new Uint8Array(16).fill(3))
    const [nonce, beside] = [new Uint8Array(12), Buffer.from('exam/1')]
    const sealed = gcm.seal(nonce, Buffer.from('110105199003078519'), beside)
    for (let at = 0; at < sealed.length; at++) expect(gcm.open(nonce, sealed.map((octet, index) => (index === at ? octet ^ 1 : octet)), beside)).toBeUndefined() // prettier-ignore
    expect(gcm.open(nonce, sealed, Buffer.from('exam/2'))).toBeUndefined()
    expect(gcm.open(new Uint8Array(12).fill(1), sealed, beside)).toBeUndefined()
    expect(gcm.open(nonce, sealed.subarray(0, 15), beside)).toBeUndefined()
  })
})
