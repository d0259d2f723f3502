/**
 * Where the pixels of a stored file are, noted while it arrived, so that frames are file reads and not parses.
 * Offsets count from the start of the Part 10 file; in a deflated file (`inflated: true`) from the start of the inflated dataset.
 */
export type FrameIndex =
  | { readonly kind: 'none' }
  | { readonly kind: 'native'; readonly offset: number; readonly length: number; readonly vr: string; readonly inflated?: true }
  | {
      readonly kind: 'encapsulated'
      /** [offset of the fragment's first byte, length, begins a codestream] */
      readonly fragments: readonly (readonly [offset: number, length: number, startsCodestream: 0 | 1])[]
      /** Byte offsets of frames from the first fragment's item tag: basic or extended offset table, empty when absent. */
      readonly offsetTable: readonly number[]
    }
