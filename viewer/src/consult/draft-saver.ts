import type { OpinionDraft, SavedDraft } from 'specs'

export type SaveState =
  | { readonly kind: 'saved'; readonly at: number | null }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'saving' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Another desk of the same person has saved meanwhile; the writer decides which text goes on. */
  | { readonly kind: 'conflict' }

export interface DraftSaverOptions {
  /** @param revision What the text is based on; `undefined` saves over whatever is there. */
  save(draft: OpinionDraft, revision: number | undefined): Promise<SavedDraft>
  isConflict(error: unknown): boolean
  onState(state: SaveState): void
  /** Quiet time after the last key before it is saved. */
  delayMs?: number
  retryMs?: number
}

/**
 * Saves what is being written: soon after the last key, one request at a time, again until it succeeds. The newest text
 * wins over whatever is still on its way.
 */
export class DraftSaver {
  readonly #options: Required<DraftSaverOptions>
  #revision: number
  #overwriting = false
  #conflict = false
  #pending: OpinionDraft | undefined
  #running: Promise<void> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  constructor(start: SavedDraft, options: DraftSaverOptions) {
    this.#revision = start.revision
    this.#options = { delayMs: 800, retryMs: 4_000, ...options }
    options.onState({ kind: 'saved', at: start.savedAt })
  }

  get revision(): number {
    return this.#revision
  }

  get isSaved(): boolean {
    return this.#pending === undefined && this.#running === undefined
  }

  change(draft: OpinionDraft): void {
    if (this.#stopped) return
    this.#pending = draft
    if (this.#conflict) return
    this.#options.onState({ kind: 'waiting' })
    this.#schedule(this.#options.delayMs)
  }

  /** Saves now what is waiting, for instance before signing. @throws what the last attempt failed with. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    while (this.#running || this.#pending) {
      await (this.#running ?? this.#saveOnce())
    }
  }

  /** After a conflict: our text replaces the other one. */
  overwrite(): Promise<void> {
    ;[this.#conflict, this.#overwriting] = [false, true]
    return this.flush()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #schedule(afterMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.flush().catch(() => this.#retry()), afterMs)
  }

  #retry(): void {
    if (!this.#stopped && !this.#conflict) this.#schedule(this.#options.retryMs)
  }

  #saveOnce(): Promise<void> {
    const draft = this.#pending
    if (!draft) return Promise.resolve()
    this.#pending = undefined
    this.#options.onState({ kind: 'saving' })
    this.#running = this.#options
      .save(draft, this.#overwriting ? undefined : this.#revision)
      .then(
        (saved) => {
          ;[this.#revision, this.#overwriting] = [saved.revision, false]
          if (!this.#pending) this.#options.onState({ kind: 'saved', at: saved.savedAt })
        },
        (error: unknown) => {
          this.#pending ??= draft // newer text, if any, already holds this one
          this.#conflict = this.#options.isConflict(error)
          this.#options.onState(this.#conflict ? { kind: 'conflict' } : { kind: 'failed', error })
          throw error
        },
      )
      .finally(() => (this.#running = undefined))
    return this.#running
  }
}
