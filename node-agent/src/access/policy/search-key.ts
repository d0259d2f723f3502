import { Problem } from 'specs'

/** `open`: lists without a question are answered. `search-key`: only to whoever already knows whom they look for (SEC-05). */
export type ListingPolicy = 'open' | 'search-key'

/** So many characters, wildcards and blanks not counted, name somebody; a surname alone of one character does not. */
const LEAST = 2

/** Whether a search names one patient or exam rather than asking who there is. */
export const isSearchKey = (text: string | undefined): boolean => text !== undefined && text.replaceAll(/[\s*?%_^=\\.]/g, '').length >= LEAST

/** @param texts what was given for name, patient number, accession number, … @throws {Problem} access/search-key-needed */
export function requireSearchKey(listing: ListingPolicy, texts: readonly (string | undefined)[]): void {
  if (listing === 'search-key' && !texts.some(isSearchKey)) throw new Problem('access/search-key-needed')
}
