import { isProblem, Problem, type HospitalId, type ManifestRow, type RegionId, type SopInstanceUid } from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { PartialFiles } from './partial-files.ts'
import type { Piece, PieceQueue } from './piece-queue.ts'
import type { SourceSession } from './source-session.ts'

export interface StudyRunParts {
  readonly session: Pick<SourceSession, 'piece' | 'source'>
  readonly queue: PieceQueue
  readonly partials: PartialFiles
  readonly archive: Archive
  readonly owner: HospitalId
  /** Of the task that asked for the images, whichever region is the active one by now (FED-20). */
  readonly regionId: RegionId
  readonly studyInstanceUid: string
  readonly piecesInFlight: number
  readonly pieceBytes: number
  readonly signal: AbortSignal
  readonly onHeld: (row: ManifestRow) => void
  readonly onFailed: (row: ManifestRow, problem: Problem) => void
}

/** Received instances that may wait for the disk; beyond, no more pieces are asked for (back-pressure). */
const STORING_AT_ONCE = 24
const HEAD_BYTES = 8 * 1024
/** Answers that do not fit the request, in a row, before the attempt is given up. */
const MAX_BAD_ANSWERS = 5

/** Contents that are not what the manifest says, however the archive noticed. */
const isWrongContent = (error: unknown): error is Problem =>
  isProblem(error) &&
  (error.code === 'transfer/digest-mismatch' ||
    error.code === 'archive/unreadable' ||
    error.code === 'archive/uid-mismatch' ||
    error.code === 'archive/bad-uid')

/** One attempt to fetch what is missing of a study: a window of pieces in flight, instances committed as they become whole. */
export class StudyRun {
  readonly #parts: StudyRunParts
  #inFlight = 0
  #storing = 0
  #badAnswers = 0
  #ended = false
  #fatal: { error: unknown } | undefined
  #wake: () => void = () => undefined

  constructor(parts: StudyRunParts) {
    this.#parts = parts
  }

  /** Somebody waits for this instance: it is asked for next. */
  urge(sopInstanceUid: SopInstanceUid): void {
    this.#parts.queue.urge(sopInstanceUid)
    this.#wake()
  }

  /**
   * Resolves when everything has been asked for and is held or given up.
   * @throws what ended the attempt: the source's refusal, an outage, transfer/cancelled, a full disk.
   */
  async run(): Promise<void> {
    const { signal, queue, piecesInFlight, partials } = this.#parts
    const stop = () => this.#end(signal.reason)
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    try {
      while (!this.#fatal) {
        const mayAsk = this.#inFlight < piecesInFlight && this.#storing < STORING_AT_ONCE
        const piece = mayAsk ? queue.next() : undefined
        if (piece) void this.#fetch(piece)
        else if (this.#inFlight === 0 && this.#storing === 0) break
        else await this.#change()
      }
      this.#ended = true
      while (this.#storing > 0) await this.#change()
      if (this.#fatal) throw this.#fatal.error
    } finally {
      this.#ended = true
      signal.removeEventListener('abort', stop)
      await partials.closeAll()
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #end(error: unknown): void {
    this.#fatal ??= { error }
    this.#wake()
  }

  async #fetch(piece: Piece): Promise<void> {
    const { session, queue } = this.#parts
    this.#inFlight += 1
    let bytes: Uint8Array | undefined
    try {
      bytes = await session.piece(piece.row, piece.offset, piece.length)
      this.#badAnswers = 0
    } catch (error) {
      if (!this.#ended && queue.isCurrent(piece)) this.#pieceFailed(piece, error)
    }
    this.#inFlight -= 1
    if (bytes && !this.#ended && queue.isCurrent(piece)) {
      this.#storing += 1
      await this.#take(piece, bytes)
      this.#storing -= 1
    }
    this.#wake()
  }

  #pieceFailed(piece: Piece, error: unknown): void {
    this.#badAnswers += 1
    const isWorthAnother = isProblem(error) && error.code === 'transfer/bad-request' && this.#badAnswers < MAX_BAD_ANSWERS
    if (isWorthAnother) this.#parts.queue.restart(piece.row.sopInstanceUid, this.#parts.partials.lengthOf(piece.row))
    else this.#end(error)
  }

  async #take(piece: Piece, bytes: Uint8Array): Promise<void> {
    const { row } = piece
    const { partials, pieceBytes, queue } = this.#parts
    try {
      if (bytes.length !== piece.length)
        throw new Problem('transfer/digest-mismatch', { sopInstanceUid: row.sopInstanceUid, reason: 'size' })
      if (row.sizeBytes <= pieceBytes && piece.offset === 0) {
        // The beginning apart: an archive that gathers a header copies what it gathers.
        await this.#store(row, [bytes.subarray(0, HEAD_BYTES), bytes.subarray(HEAD_BYTES)])
      } else if (await partials.append(row, piece.offset, bytes)) {
        await partials.close(row)
        await this.#store(row, partials.content(row))
        await partials.remove(row)
      } else return
      queue.held(row.sopInstanceUid)
      this.#parts.onHeld(row)
    } catch (error) {
      await this.#storeFailed(row, error)
    }
  }

  async #store(row: ManifestRow, chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void> {
    const { archive, session, owner, regionId, studyInstanceUid } = this.#parts
    const incoming = await archive.receive({ kind: 'transfer', peer: session.source, owner, regionId }, { part10: true })
    try {
      for await (const chunk of chunks) if (chunk.length > 0) await incoming.write(chunk)
      const { sopClassUid, sopInstanceUid, sm3, sizeBytes } = row
      await incoming.commit({ studyInstanceUid, sopClassUid, sopInstanceUid, sm3, sizeBytes })
    } catch (error) {
      await incoming.abort()
      throw error
    }
  }

  async #storeFailed(row: ManifestRow, error: unknown): Promise<void> {
    if (!isWrongContent(error)) {
      this.#end(error)
      return
    }
    await this.#parts.partials.remove(row)
    if (this.#parts.queue.mismatch(row.sopInstanceUid) === 'failed') this.#parts.onFailed(row, error)
  }
}
