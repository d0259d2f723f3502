import type { Sm3Hex } from 'specs'

/** What became of an offered instance (FED-22, FED-23, ARC-12). A replaced object stays in the trace. */
export type StoreOutcome =
  { readonly kind: 'stored' } | { readonly kind: 'duplicate' } | { readonly kind: 'replaced'; readonly previous: Sm3Hex }

/** @param held digest of the file we keep under this SOP Instance UID, `undefined` when there is none or its file was lost. */
export function decideStore(held: Sm3Hex | undefined, offered: Sm3Hex): StoreOutcome {
  if (held === undefined) return { kind: 'stored' }
  return held === offered ? { kind: 'duplicate' } : { kind: 'replaced', previous: held }
}
