import { Buffer } from 'node:buffer'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { kekSourceOf, openDatabase, Vault, type Database } from 'service-kit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cipherBlocks, counterAt, intoBlock } from './counter-mode.ts'
import { HEADER_BYTES, slotsOf } from './file-form.ts'
import { FileKeys } from './file-keys.ts'

let folder: string
let db: Database
let vault: Vault
let keys: FileKeys
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-file-form-'))
  db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
  vault = await Vault.open({ db, kek: kekSourceOf({ keyFile: path.join(folder, 'vault.kek') }) })
  keys = new FileKeys(vault)
})
afterAll(async () => {
  vault.close()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

const id = '0b9c2f5e-4a51-4c3e-9c58-2f9d6a7b1c11'
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const at = (key: Uint8Array, iv: Uint8Array, offset: number, bytes: Uint8Array) =>
  Buffer.from(cipherBlocks(key, iv, offset, Buffer.concat([Buffer.alloc(intoBlock(offset)), bytes])))

describe('SM4 in counter mode from the middle of a file', () => {
  it('begins with the block of GB/T 32907-2016 A.1 where the counter is its plain text', () => {
    // SEC-11
    const example = hex('0123456789abcdeffedcba9876543210')
    expect(at(example, example, 0, new Uint8Array(16)).toString('hex')).toBe('681edf34d206965e86b3e94f536e4246')
  })

  it('gives for any part what it gives for the whole', () => {
    const [key, iv] = [new Uint8Array(16).fill(7), hex('ffffffffffffffffffffffffffffff00')]
    const plain = Buffer.from(Array.from({ length: 5_000 }, (_each, index) => index % 251))
    const whole = at(key, iv, 0, plain)
    fc.assert(
      fc.property(fc.nat(5_000), fc.nat(5_000), (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)]
        expect(at(key, iv, start, plain.subarray(start, end)).equals(whole.subarray(start, end))).toBe(true)
        expect(at(key, iv, start, whole.subarray(start, end)).equals(plain.subarray(start, end))).toBe(true)
      }),
    )
  })

  it('counts beyond 32 bits and over the end', () => {
    const count = (iv: string, offset: number) => Buffer.from(counterAt(hex(iv), offset)).toString('hex')
    expect(count('000000000000000000000000fffffffe', 16 * 3)).toBe('00000000000000000000000100000001')
    expect(count('00000000000000000000000000000000', 2 ** 40)).toBe('00000000000000000000001000000000')
    expect(count('ffffffffffffffffffffffffffffffff', 17)).toBe('00000000000000000000000000000000')
  })
})

describe('the header of an encrypted file', () => {
  it('gives its key back to the file it was made for, and to no other', () => {
    const { key, header } = keys.create(id)
    expect(header).toHaveLength(HEADER_BYTES)
    expect(keys.open(header, id)).toEqual(key)
    const other = id.replace('0b', '0c')
    expect(() => keys.open(header, other)).toThrow(expect.objectContaining({ code: 'archive/damaged-file' }))
    // Told to be another's, it does not open: the id is bound to the key.
    const forged = Buffer.from(header)
    for (const slot of [0, HEADER_BYTES / 2]) forged.write(other, slot + 32, 'latin1')
    expect(() => keys.open(forged, other)).toThrow(expect.objectContaining({ code: 'archive/damaged-file' }))
  })

  it('does not open when any of its bits has changed, in either slot', () => {
    const { key, header } = keys.create(id)
    // Of the last letter only some bits say anything.
    const written = 145 + slotsOf(header)[0]!.wrapped.length
    const half = HEADER_BYTES / 2
    for (let place = 0; place < written; place++) {
      const changed = Buffer.from(header)
      changed[place]! ^= 1
      expect(keys.open(changed, id), `one slot is enough (${place})`).toEqual(key)
      changed[half + place]! ^= 1
      expect(() => keys.open(changed, id), `octet ${place}`).toThrow(expect.objectContaining({ name: 'Problem' }))
    }
    expect(() => keys.open(header.subarray(0, 100), id)).toThrow(expect.objectContaining({ code: 'archive/damaged-file' }))
  })

  it('is never taken for a DICOM file, nor one for it', () => {
    expect(keys.create(id).header.toString('latin1', 128, 132)).toBe('\0\0\0\0')
    expect(slotsOf(Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), Buffer.alloc(2_000)]))).toEqual([])
  })

  it('has a key and a first counter of its own each time', () => {
    const made = Array.from({ length: 200 }, () => keys.create(id).key)
    expect(new Set(made.map(({ encryptionKey }) => Buffer.from(encryptionKey).toString('hex'))).size).toBe(200)
    expect(new Set(made.map(({ iv }) => Buffer.from(iv).toString('hex'))).size).toBe(200)
  })

  it('is wrapped anew under another key of the vault in the slot that does not count, and is whole if that is torn', async () => {
    const { key, header } = keys.create(id)
    expect(keys.rewrap(header, id)).toBeUndefined()
    await vault.rotate()
    const { at: place, slot } = keys.rewrap(header, id)!
    const anew = Buffer.from(header)
    anew.set(slot, place)
    expect(keys.open(anew, id)).toEqual(key)
    expect(slotsOf(anew).map(({ revision }) => revision)).toEqual([2, 1])
    expect(keys.rewrap(anew, id)).toBeUndefined()
    const torn = Buffer.from(anew)
    torn.fill(0, place + 200, place + 512)
    expect(keys.open(torn, id)).toEqual(key)
    await vault.rotate()
    expect(keys.rewrap(anew, id)!.at).not.toBe(place)
  })

  it('says that the key is another one where the vault is', async () => {
    const { header } = keys.create(id)
    const elsewhere = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'other.sqlite') })
    const other = await Vault.open({ db: elsewhere, kek: kekSourceOf({ keyFile: path.join(folder, 'other.kek') }) })
    expect(() => new FileKeys(other).open(header, id)).toThrow(expect.objectContaining({ code: 'archive/wrong-key' }))
    expect(() => new FileKeys(other).check(keys.checkValue())).toThrow(expect.objectContaining({ code: 'archive/wrong-key' }))
    keys.check(keys.checkValue())
    await elsewhere.close()
  })
})
