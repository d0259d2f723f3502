import type { ManifestRow, SopInstanceUid } from 'specs'

/** One piece to ask for: bytes [offset, offset + length) of an instance. */
export interface Piece {
  readonly row: ManifestRow
  readonly offset: number
  readonly length: number
  /** Counts the times the instance was begun anew; an answer to an older attempt is dropped. */
  readonly attempt: number
}

interface Progress {
  readonly row: ManifestRow
  nextOffset: number
  attempt: number
  mismatches: number
  state: 'open' | 'asked' | 'held' | 'failed'
}

/** An instance whose bytes differ from the manifest this often is given up, visibly. */
const MAX_MISMATCHES = 3

/**
 * The order in which pieces of a study are asked for: instances as the manifest lists them, each from where it stopped,
 * and before all others those that somebody is waiting to see. Decides only; it sends and stores nothing.
 */
export class PieceQueue {
  readonly #pieceBytes: number
  readonly #progress: Map<SopInstanceUid, Progress>
  readonly #urgent: SopInstanceUid[] = []
  /** Instances before this one need no look any more. */
  #cursor = 0
  readonly #order: readonly Progress[]

  /** @param partial bytes of unfinished instances that an earlier run left on disk. */
  constructor(
    rows: readonly ManifestRow[],
    options: { pieceBytes: number; held: ReadonlySet<string>; partial: ReadonlyMap<string, number> },
  ) {
    this.#pieceBytes = options.pieceBytes
    this.#order = rows.map((row) => ({
      row,
      nextOffset: Math.min(options.partial.get(row.sopInstanceUid) ?? 0, row.sizeBytes),
      attempt: 0,
      mismatches: 0,
      state: options.held.has(row.sopInstanceUid) ? 'held' : 'open',
    }))
    this.#progress = new Map(this.#order.map((progress) => [progress.row.sopInstanceUid, progress]))
  }

  /** What to ask for next; undefined when everything has been asked for. */
  next(): Piece | undefined {
    const progress = this.#nextUrgent() ?? this.#nextInOrder()
    if (!progress) return undefined
    const offset = progress.nextOffset
    const length = Math.min(this.#pieceBytes, progress.row.sizeBytes - offset)
    progress.nextOffset += length
    if (progress.nextOffset >= progress.row.sizeBytes) progress.state = 'asked'
    return { row: progress.row, offset, length, attempt: progress.attempt }
  }

  /** Somebody wants to see it now: the newest wish goes first, as a viewer scrolls on. */
  urge(sopInstanceUid: SopInstanceUid): void {
    const at = this.#urgent.indexOf(sopInstanceUid)
    if (at >= 0) this.#urgent.splice(at, 1)
    this.#urgent.unshift(sopInstanceUid)
  }

  isCurrent(piece: Piece): boolean {
    return this.#read(piece.row.sopInstanceUid).attempt === piece.attempt
  }

  held(sopInstanceUid: SopInstanceUid): void {
    this.#read(sopInstanceUid).state = 'held'
  }

  /** Begins an instance again, from `offset`: pieces under way are forgotten. */
  restart(sopInstanceUid: SopInstanceUid, offset: number): void {
    const progress = this.#read(sopInstanceUid)
    progress.attempt += 1
    progress.nextOffset = offset
    progress.state = 'open'
    this.#cursor = 0
  }

  /** The digest was wrong: begin anew, or give up. */
  mismatch(sopInstanceUid: SopInstanceUid): 'again' | 'failed' {
    const progress = this.#read(sopInstanceUid)
    progress.mismatches += 1
    if (progress.mismatches < MAX_MISMATCHES) {
      this.restart(sopInstanceUid, 0)
      return 'again'
    }
    progress.attempt += 1
    progress.state = 'failed'
    return 'failed'
  }

  stateOf(sopInstanceUid: SopInstanceUid): 'open' | 'asked' | 'held' | 'failed' | undefined {
    return this.#progress.get(sopInstanceUid)?.state
  }

  counts(): { heldInstances: number; heldBytes: number; failed: number; total: number; totalBytes: number } {
    const counts = { heldInstances: 0, heldBytes: 0, failed: 0, total: this.#order.length, totalBytes: 0 }
    for (const { row, state } of this.#order) {
      counts.totalBytes += row.sizeBytes
      if (state === 'held') {
        counts.heldInstances += 1
        counts.heldBytes += row.sizeBytes
      } else if (state === 'failed') counts.failed += 1
    }
    return counts
  }

  #nextUrgent(): Progress | undefined {
    while (this.#urgent.length > 0) {
      const progress = this.#progress.get(this.#urgent[0] as SopInstanceUid)
      if (progress?.state === 'open') return progress
      this.#urgent.shift()
    }
    return undefined
  }

  #nextInOrder(): Progress | undefined {
    while (this.#cursor < this.#order.length && this.#order[this.#cursor]?.state !== 'open') this.#cursor += 1
    return this.#order[this.#cursor]
  }

  #read(sopInstanceUid: SopInstanceUid): Progress {
    const progress = this.#progress.get(sopInstanceUid)
    if (!progress) throw new Error('an instance that is not in the manifest')
    return progress
  }
}
