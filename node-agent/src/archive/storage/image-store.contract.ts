import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ImageStore } from './image-store.ts'

const streamOf = (bytes: Buffer) => () => Readable.from(bytes.length === 0 ? [] : [bytes.subarray(0, 3), bytes.subarray(3)], { objectMode: false })
export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
const keysOf = async (store: ImageStore, prefix?: string) => {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}

/** What every place for copies of images must do (ARC-08, ARC-20). */
export function imageStoreContract(name: string, begin: () => Promise<{ open(): ImageStore; end(): Promise<void> }>): void {
  describe(`images in ${name}`, () => {
    let place: Awaited<ReturnType<typeof begin>>
    let store: ImageStore
    beforeAll(async () => {
      place = await begin()
      store = place.open()
    }, 60_000)
    afterAll(async () => {
      store?.close()
      await place?.end()
    })
    const key = 'hospital-a/2026/03/01/2.25.1/2.25.11/2.25.301.dcm'

    it('come back byte for byte, whole and in ranges', async () => {
      // ARC-08, ARC-09
      const bytes = Buffer.from('preamble DICM and all the rest')
      await store.put(key, streamOf(bytes), bytes.length)
      expect(await bytesOf(await store.open(key))).toEqual(bytes)
      expect((await bytesOf(await store.open(key, { start: 9, end: 13 }))).toString()).toBe('DICM')
      expect(await store.head(key)).toEqual({ key, sizeBytes: bytes.length })
    })
    it('are replaced in one step', async () => {
      await store.put(key, streamOf(Buffer.from('another')), 7)
      expect((await bytesOf(await store.open(key))).toString()).toBe('another')
    })
    it('of any size, in parts where the store has parts', async () => {
      const bytes = Buffer.alloc(12 * 1024 * 1024 + 17)
      for (let at = 0; at < bytes.length; at += 4_099) bytes.writeUInt32LE(at, Math.min(at, bytes.length - 4))
      await store.put('large.dcm', () => Readable.from([bytes.subarray(0, 5_000_001), bytes.subarray(5_000_001)], { objectMode: false }), bytes.length)
      expect((await store.head('large.dcm'))?.sizeBytes).toBe(bytes.length)
      expect((await bytesOf(await store.open('large.dcm'))).equals(bytes)).toBe(true)
      expect((await bytesOf(await store.open('large.dcm', { start: 8_388_600, end: 8_388_620 }))).equals(bytes.subarray(8_388_600, 8_388_620))).toBe(true)
      await store.delete('large.dcm')
    })
    it('are there whole or not at all', async () => {
      await expect(store.put('short.dcm', streamOf(Buffer.from('too short')), 10)).rejects.toMatchObject({ code: 'store/refused' })
      await expect(store.put('broken.dcm', () => Readable.from((function* () { yield Buffer.alloc(9); throw new Error('the disk has gone') })(), { objectMode: false }), 20)).rejects.toThrow() // prettier-ignore
      expect(await store.head('short.dcm')).toBeUndefined()
      expect(await store.head('broken.dcm')).toBeUndefined()
    })
    it('are listed, and gone when deleted', async () => {
      await store.put('hospital-b/2.25.2/2.25.302.dcm', streamOf(Buffer.from('b')), 1)
      expect(await keysOf(store)).toEqual([key, 'hospital-b/2.25.2/2.25.302.dcm'])
      expect(await keysOf(store, 'hospital-b/')).toEqual(['hospital-b/2.25.2/2.25.302.dcm'])
      await store.delete(key)
      await store.delete(key)
      expect(await store.head(key)).toBeUndefined()
      await expect(store.open(key).then(bytesOf)).rejects.toMatchObject({ code: 'store/no-object' })
      expect(await keysOf(store)).toEqual(['hospital-b/2.25.2/2.25.302.dcm'])
      await store.delete('hospital-b/2.25.2/2.25.302.dcm')
    })
  })
}
