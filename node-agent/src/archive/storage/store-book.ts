import { isProblem, Problem, type StoreHealth } from 'specs'
import type { ImageStore } from './image-store.ts'

const FIRST_PAUSE_MS = 2_000
const LONGEST_PAUSE_MS = 120_000

interface Entry {
  readonly store: ImageStore
  health: StoreHealth
  pauseMs: number
  /** Nothing but a try of ours is sent there before. */
  pausedUntil: number
}

/** The stores of an archive by their identifier, and how each of them is: one that does not answer is left alone for a while. */
export class StoreBook {
  readonly #entries = new Map<string, Entry>()
  readonly #now: () => number
  /** A store that failed answers again. */
  onBack: (storeId: string) => void = () => undefined

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** From now on these and no others. The caller closes those that it takes away. */
  set(stores: readonly ImageStore[]): void {
    for (const id of [...this.#entries.keys()]) if (!stores.some(({ storeId }) => storeId === id)) this.#entries.delete(id)
    for (const store of stores) {
      if (this.#entries.get(store.storeId)?.store === store) continue
      this.#entries.set(store.storeId, { store, health: { state: 'unknown', since: this.#now(), code: '', reason: '' }, pauseMs: 0, pausedUntil: 0 })
    }
  }

  get ids(): string[] {
    return [...this.#entries.keys()]
  }

  has(storeId: string): boolean {
    return this.#entries.has(storeId)
  }

  health(storeId: string): StoreHealth | undefined {
    return this.#entries.get(storeId)?.health
  }

  /** Stores that work does not go to now: unknown ones wait for whoever sets them up again. */
  paused(named: readonly string[] = []): string[] {
    const paused = this.ids.filter((id) => (this.#entries.get(id)?.pausedUntil ?? 0) > this.#now())
    return [...paused, ...named.filter((id) => !this.#entries.has(id))]
  }

  /** @throws {Problem} store/unknown, and what `work` throws; the outcome is the store's health. */
  async use<T>(storeId: string, work: (store: ImageStore) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(storeId)
    if (!entry) throw new Problem('store/unknown', { storeId })
    try {
      const result = await work(entry.store)
      this.#note(entry, undefined)
      return result
    } catch (error) {
      if (isProblem(error) && failures.has(error.code)) this.#note(entry, error)
      throw error
    }
  }

  #note(entry: Entry, problem: Problem | undefined): void {
    const state = problem ? 'failing' : 'ok'
    const code = problem?.code ?? ''
    const isBack = problem === undefined && entry.health.state === 'failing'
    if (entry.health.state !== state || entry.health.code !== code) entry.health = { state, since: this.#now(), code, reason: reasonOf(problem) }
    // A full store can still be read.
    entry.pauseMs = problem ? Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, entry.pauseMs * 2)) : 0
    entry.pausedUntil = problem ? this.#now() + entry.pauseMs : 0
    if (isBack) this.onBack(entry.store.storeId)
  }

  close(): void {
    for (const { store } of this.#entries.values()) store.close()
  }
}

const failures = new Set<string>(['store/unreachable', 'store/refused', 'store/full', 'outbound/refused'])

/** What an administrator can act on; never a secret: facts of ours only. */
function reasonOf(problem: Problem | undefined): string {
  const facts = (problem?.facts ?? {}) as Readonly<Record<string, unknown>>
  return ['reason', 'code', 'status', 'what'].flatMap((name) => (facts[name] === undefined || facts[name] === '' ? [] : [String(facts[name])])).join(' ')
}
