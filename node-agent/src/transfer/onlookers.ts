import type { Problem, SopInstanceUid } from 'specs'
import { Waiters } from './waiters.ts'

/** Who looks at a transfer and waits for its beginning or for one of its instances. */
export class Onlookers {
  readonly #waiters = new Waiters()
  /** Jobs somebody is looking at: they do not wait for a free place. */
  readonly #watched = new Set<string>()

  isWatched(transferId: string): boolean {
    return this.#watched.has(transferId)
  }

  watch(transferId: string): void {
    this.#watched.add(transferId)
  }

  /** Resolves when the source has told what the study consists of, or the study is complete. @throws what ended the transfer. */
  forSession(transferId: string, signal?: AbortSignal): Promise<void> {
    return this.#waiters.wait(sessionKey(transferId), signal)
  }

  /** @throws what ended the transfer, or kept this instance from coming. */
  forInstance(transferId: string, sopInstanceUid: SopInstanceUid, signal?: AbortSignal): Promise<void> {
    return this.#waiters.wait(instanceKey(transferId, sopInstanceUid), signal)
  }

  sessionOpened(transferId: string): void {
    this.#waiters.fulfil(sessionKey(transferId))
  }

  arrived(transferId: string, sopInstanceUid: SopInstanceUid): void {
    this.#waiters.fulfil(instanceKey(transferId, sopInstanceUid))
  }

  failed(transferId: string, sopInstanceUid: SopInstanceUid, problem: Problem): void {
    this.#waiters.fail(instanceKey(transferId, sopInstanceUid), problem)
  }

  complete(transferId: string): void {
    this.#watched.delete(transferId)
    this.#waiters.fulfil(sessionKey(transferId))
  }

  /** Nobody waits any longer for what has ended. */
  ended(transferId: string, error: unknown): void {
    this.#watched.delete(transferId)
    this.#waiters.fail(sessionKey(transferId), error)
    this.#waiters.failWhere((key) => key.startsWith(instanceKey(transferId, '')), error)
  }
}

const sessionKey = (transferId: string) => `session ${transferId}`
const instanceKey = (transferId: string, sopInstanceUid: string) => `instance ${transferId} ${sopInstanceUid}`
