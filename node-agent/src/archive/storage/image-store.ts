import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { Problem } from 'specs'

/** An object as a store lists it. */
export interface StoredObject {
  readonly key: string
  readonly sizeBytes: number
}

/**
 * A place besides the archive's own root where copies of its files lie: another disk or NAS, or a bucket (ARC-08, ARC-20). Keys are paths
 * with slashes, made by us from checked UIDs. Objects are whole Part 10 files and never change; one is put whole or not at all.
 */
export interface ImageStore {
  readonly storeId: string
  readonly kind: 'folder' | 's3'
  /**
   * Durable when it resolves; what was there under the key is replaced in one step.
   * @param source its stream must give exactly `sizeBytes` bytes.
   * @throws {Problem} store/unreachable, store/refused, store/full
   */
  put(key: string, source: () => Readable, sizeBytes: number, signal?: AbortSignal): Promise<void>
  /** The whole object, or its bytes [start, end). @throws {Problem} store/no-object, store/unreachable, store/refused */
  open(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable>
  /** @returns undefined when there is none. @throws {Problem} store/unreachable, store/refused */
  head(key: string): Promise<StoredObject | undefined>
  /** None is no error. @throws {Problem} store/unreachable, store/refused */
  delete(key: string): Promise<void>
  /** Every object below the store's own prefix, in no promised order. */
  list(prefix?: string): AsyncIterable<StoredObject>
  /** Undefined where the store does not tell, as buckets do not. */
  capacity(): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined>
  close(): void
}

export interface ByteRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/** Writes, reads and removes one small object: whether the store can be worked with. @throws {Problem} */
export async function tryStore(store: ImageStore, name: string): Promise<void> {
  const key = `.lianpian-check-${name}`
  const bytes = Buffer.from('lianpian')
  await store.put(key, () => Readable.from([bytes], { objectMode: false }), bytes.length)
  const back: Buffer[] = []
  for await (const chunk of await store.open(key)) back.push(chunk as Buffer)
  await store.delete(key)
  if (!Buffer.concat(back).equals(bytes)) throw new Problem('store/refused', { storeId: store.storeId, reason: 'gives back other bytes than it was given' })
}
