import { kernel, kernelKeys } from './counter-kernel.ts'

/** What we use of it; neither Node's types nor Deno's for servers name its values. */
interface WebAssemblyValues {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

type Run = (word0: number, word1: number, word2: number, counter: number, steps: number) => void

const BLOCK_BYTES = 16
const WRAP = 2 ** 32

/** SM4-CTR in vector instructions of WebAssembly, without a table in memory; one per thread, because it has one memory. */
export class VectorCounterMode {
  readonly #run: Run
  readonly #keys: Uint32Array
  readonly #chunk: Uint8Array

  /** @throws when this runtime has no vector instructions in WebAssembly. */
  constructor() {
    const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyValues }).WebAssembly
    const { run, memory } = new Instance(new Module(kernel.module())).exports as { run: Run; memory: { buffer: ArrayBuffer } }
    this.#run = run
    this.#keys = new Uint32Array(memory.buffer, 0, 32)
    this.#chunk = new Uint8Array(memory.buffer, kernel.chunkAt, kernel.chunkBytes)
  }

  /** @param key 16 bytes. @param iv 16 bytes, a big-endian counter over all 128 bits. @returns As many bytes as `data` in memory of their own. */
  encrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
    const result = new Uint8Array(data.length)
    const words = counterWords(iv)
    this.#keys.set(kernelKeys(key))
    for (let at = 0; at < data.length; ) {
      // Only the last word counts inside the kernel, so a run ends where that word begins anew.
      const bytes = Math.min(data.length - at, kernel.chunkBytes, (WRAP - words[3]) * BLOCK_BYTES)
      this.#chunk.set(data.subarray(at, at + bytes))
      this.#run(words[0], words[1], words[2], words[3], Math.ceil(bytes / kernel.bytesPerStep))
      result.set(this.#chunk.subarray(0, bytes), at)
      at += bytes
      advance(words, Math.ceil(bytes / BLOCK_BYTES))
    }
    this.#keys.fill(0)
    return result
  }
}

type CounterWords = [number, number, number, number]

function counterWords(iv: Uint8Array): CounterWords {
  const view = new DataView(iv.buffer, iv.byteOffset, BLOCK_BYTES)
  return [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)]
}

function advance(words: CounterWords, blocks: number): void {
  words[3] += blocks
  for (const word of [3, 2, 1] as const) {
    if (words[word] < WRAP) return
    words[word] -= WRAP
    words[(word - 1) as 0 | 1 | 2] += 1
  }
  words[0] %= WRAP
}
