import { type DimseFigures } from './figures.ts'

/** The associations that are open now, over all ports of the node together, and how many of them one AE title has. */
export class AssociationSlots {
  readonly #figures: Pick<DimseFigures, 'open'>
  readonly #ofCaller = new Map<string, number>()
  #open = 0

  constructor(figures: Pick<DimseFigures, 'open'>) {
    this.#figures = figures
  }

  get open(): number {
    return this.#open
  }

  /**
   * Takes a place, if there is one. Limits are asked for each time, so that a change holds from the next association on.
   * @returns how to give it back, once; undefined when the house, or the caller, has all it may have.
   */
  take(callingAeTitle: string, limits: { readonly all: number; readonly ofCaller: number | undefined }): (() => void) | undefined {
    const held = this.#ofCaller.get(callingAeTitle) ?? 0
    if (this.#open >= limits.all || held >= (limits.ofCaller ?? Infinity)) return undefined
    this.#ofCaller.set(callingAeTitle, held + 1)
    this.#figures.open.set(++this.#open)
    let given = false
    return () => {
      if (given) return
      given = true
      const left = (this.#ofCaller.get(callingAeTitle) ?? 1) - 1
      if (left === 0) this.#ofCaller.delete(callingAeTitle)
      else this.#ofCaller.set(callingAeTitle, left)
      this.#figures.open.set(--this.#open)
    }
  }
}
