/**
 * Words that point at the patient, or at somebody named in the images, gathered from attributes that do not leave; and whether a text that
 * would leave contains one of them. Devices and people write names where no table expects them.
 */
export class IdentifyingWords {
  /** Runs of ideographs, found anywhere. */
  readonly #ideographs = new Set<string>()
  /** Words in a row, found as such. */
  readonly #phrases = new Set<string>()
  /** Numbers and codes, found anywhere once they are long enough. */
  readonly #codes = new Set<string>()

  copy(): IdentifyingWords {
    const copy = new IdentifyingWords()
    for (const [from, to] of [[this.#ideographs, copy.#ideographs], [this.#phrases, copy.#phrases], [this.#codes, copy.#codes]] as const) for (const word of from) to.add(word) // prettier-ignore
    return copy
  }

  /** A person's name: `Zhang^XiuLan=张^秀兰`, 张秀兰, Li Na. */
  addName(name: string): void {
    for (const group of name.split('=')) {
      const words = wordsOf(group)
      const han = words.filter((word) => isHan(word))
      if (han.join('').length >= 2) this.#ideographs.add(han.join(''))
      for (const word of han) if (word.length >= 2) this.#ideographs.add(word)
      const latin = words.filter((word) => !isHan(word))
      if (latin.length === 0) continue
      for (const order of [latin, [...latin].reverse()]) for (const separator of [' ', '']) this.#phrase(order.join(separator))
      for (const word of latin) if (word.length >= 3) this.#phrase(word)
    }
  }

  /** A number, code or date that stands for the patient or the exam. Shorter than four characters it would be found everywhere. */
  addCode(code: string): void {
    const joined = wordsOf(code).join('')
    if (joined.length >= 4) this.#codes.add(joined)
  }

  /** An institution, an address: whole or not at all. */
  addPhrase(text: string): void {
    const words = wordsOf(text)
    const joined = words.join('')
    if (isHan(joined) && joined.length >= 4) this.#ideographs.add(joined)
    else if (joined.length >= 4) this.#phrase(words.join(' '))
  }

  /** Of a number: nothing else than one of the codes. */
  isCode(number: string): boolean {
    return this.#codes.has(number.trim())
  }

  isIn(text: string): boolean {
    const words = wordsOf(text)
    if (words.length === 0) return false
    const [joined, spaced] = [words.join(''), ` ${words.join(' ')} `]
    const hasCode = [...this.#codes].some((code) => (code.length >= 5 ? joined.includes(code) : spaced.includes(` ${code} `)))
    return hasCode || [...this.#ideographs].some((name) => joined.includes(name)) || [...this.#phrases].some((phrase) => spaced.includes(` ${phrase} `))
  }

  #phrase(words: string): void {
    if (words.replaceAll(' ', '').length >= 3) this.#phrases.add(words)
  }
}

const isHan = (word: string): boolean => /\p{Script=Han}/u.test(word)
/** Lower case, without accents' variants of form; ideographs and other letters are words of their own. */
const wordsOf = (text: string): string[] => text.normalize('NFKC').toLowerCase().match(/\p{Script=Han}+|[^\P{L}\p{Script=Han}]+|\p{N}+/gu) ?? []
