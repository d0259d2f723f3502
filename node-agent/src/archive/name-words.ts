import { pinyin } from 'pinyin-pro'
import type { Queries } from 'service-kit'
import type { Backfill } from './backfills.ts'
import { insertRows } from './insert-rows.ts'

/** No accents; what is typed without them finds what is written with them (PS3.4 C.2.2.2.1.1 leaves the rules to us). */
const plain = (text: string): string => text.normalize('NFD').replaceAll(/\p{M}/gu, '').replaceAll('ß', 'ss').replaceAll('ø', 'o').replaceAll('ł', 'l').normalize('NFC')
/** How German names are written where there are no umlauts. */
const spelled = (text: string): string => text.normalize('NFC').replaceAll('ä', 'ae').replaceAll('ö', 'oe').replaceAll('ü', 'ue')

const dividers = /[\s^,.'’·-]+/u
const han = /^\p{Script=Han}+$/u
/** Longer ones are no names, and nobody types them. */
const LONGEST = 64

/**
 * The words by which a name is found: each group as it is, its components, the whole name written together, and of Chinese names how
 * they are read, in full and by initials.
 *
 * @param key folded by nameKey: `=zhang^xiulan=张^秀兰=`.
 */
export function nameWords(key: string): ReadonlySet<string> {
  const words = new Set<string>()
  const add = (word: string) => void (word !== '' && words.add(word.slice(0, LONGEST)))
  for (const group of key.split('=')) {
    if (group === '') continue
    add(group)
    const parts = group.split(dividers).filter((part) => part !== '')
    const joined = parts.join('')
    if (han.test(joined)) {
      for (const word of chineseWords(parts, joined)) add(word)
      continue
    }
    for (const part of parts) {
      add(plain(part))
      add(plain(spelled(part)))
    }
    // Wang^Xiao Dong is also typed wangxiaodong and xiaodong.
    if (parts.length > 1) add(plain(joined))
    if (parts.length > 2) add(plain(parts.slice(1).join('')))
  }
  return words
}

function chineseWords(parts: readonly string[], name: string): string[] {
  const syllables = pinyin(name, { toneType: 'none', surname: 'head', type: 'array' })
  const words = [name, [...name].slice(1).join(''), ...parts, syllables.map((syllable) => plain(syllable).charAt(0)).join('')]
  // 吕 is lü, typed lu or lv.
  for (const reading of [syllables.map(plain), syllables.map((syllable) => syllable.replaceAll('ü', 'v'))])
    words.push(reading.join(''), reading.slice(1).join(''), ...reading.slice(0, 1))
  return words
}

/** The words of what somebody typed; each must begin a word of the name, in any order. */
export function typedWords(text: string): string[] {
  const folded = plain(text.normalize('NFKC').toLowerCase())
  return [...new Set(folded.split(/[\s^,.'’·=*?-]+/u).filter((word) => word !== ''))].slice(0, 8).map((word) => word.slice(0, LONGEST))
}

/** Whether every typed word begins a word of the name. @param key see nameWords */
export function hasWords(key: string, typed: readonly string[]): boolean {
  const words = [...nameWords(key)]
  return typed.every((begin) => words.some((word) => word.startsWith(begin)))
}

/** Makes names findable by their words; names that are known already cost nothing but the look. @param keys folded names */
export async function insertNames(tx: Queries, keys: Iterable<string>): Promise<void> {
  const rows = [...new Set(keys)].flatMap((key) => [...nameWords(key)].map((word) => ({ word, name_key: key })))
  if (rows.length > 0) await insertRows(tx, 'archive_name_word', rows, '(word, name_key) DO NOTHING')
}

/** Takes a name's words away; whoever calls has seen that no study carries the name any more. */
export async function forgetName(tx: Queries, key: string): Promise<void> {
  for (const word of nameWords(key)) await tx.run('DELETE FROM archive_name_word WHERE word = $1 AND name_key = $2', [word, key])
}

/** Names of before there were words. */
export const nameWordsOfBefore: Backfill = {
  name: 'name-words',
  table: 'archive_patient',
  async step(tx, position, limit) {
    const rows = await tx.all<{ key: string; name: string }>('SELECT patient_key AS "key", patient_name_key AS "name" FROM archive_patient WHERE patient_key > $1 ORDER BY patient_key LIMIT $2', [position, limit])
    const last = rows.at(-1)
    if (last === undefined) return undefined
    await insertNames(tx, rows.map(({ name }) => name)) // prettier-ignore
    return { position: last.key, rows: rows.length }
  },
}
