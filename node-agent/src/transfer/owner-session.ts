import { PieceCipher } from 'pki'
import { Problem, type AssertedPerson, type EpochMs, type HospitalId, type ManifestRow, type SignedGrant, type StudyInstanceUid } from 'specs'
import type { Archive, InstanceFile } from '../archive/archive.ts'

/** Files kept open of one session: enough for pieces of neighbouring instances that are asked for side by side. */
const OPEN_FILES = 8

/** One study being fetched from us, by one hospital. Lives in memory: after a restart the receiver opens a new one. */
export class OwnerSession {
  readonly sessionId: string
  readonly asker: HospitalId
  readonly owner: HospitalId
  readonly study: StudyInstanceUid
  readonly purpose: 'push' | 'pull' | 'prefetch'
  readonly grant: SignedGrant
  /** For whom it is fetched, if the asker has said so. */
  readonly person: AssertedPerson | undefined
  readonly archive: Archive
  readonly cipher: PieceCipher
  readonly keys: { encryptionKey: Uint8Array; macKey: Uint8Array }
  readonly startedAt: EpochMs
  readonly instancesTotal: number
  readonly bytesTotal: number
  lastUsedAt: EpochMs
  instancesDone = 0
  bytesDone = 0
  #lastCounter = 0
  readonly #sizes: ReadonlyMap<string, number>
  readonly #files = new Map<string, Promise<InstanceFile>>()

  constructor(of: {
    sessionId: string
    asker: HospitalId
    owner: HospitalId
    purpose: OwnerSession['purpose']
    grant: SignedGrant
    person?: AssertedPerson | undefined
    archive: Archive
    study: StudyInstanceUid
    rows: readonly ManifestRow[]
    now: EpochMs
  }) {
    this.sessionId = of.sessionId
    this.asker = of.asker
    this.owner = of.owner
    this.purpose = of.purpose
    this.grant = of.grant
    this.person = of.person
    this.archive = of.archive
    this.study = of.study
    this.keys = PieceCipher.generateKeys()
    this.cipher = new PieceCipher(this.keys.encryptionKey, this.keys.macKey)
    this.startedAt = of.now
    this.lastUsedAt = of.now
    this.#sizes = new Map(of.rows.map((row) => [row.sopInstanceUid, row.sizeBytes]))
    this.instancesTotal = of.rows.length
    this.bytesTotal = of.rows.reduce((sum, row) => sum + row.sizeBytes, 0)
  }

  /** A request counts up; a recorded one played again is refused. @throws {Problem} transfer/bad-request */
  checkCounter(counter: number, now: EpochMs): void {
    if (counter <= this.#lastCounter) throw new Problem('transfer/bad-request', { reason: 'counter' })
    this.#lastCounter = counter
    this.lastUsedAt = now
  }

  /** The session is for the instances of its manifest and no others. @throws {Problem} archive/unknown-instance */
  async read(sopInstanceUid: string, offset: number, length: number): Promise<Uint8Array> {
    const sizeBytes = this.#sizes.get(sopInstanceUid)
    if (sizeBytes === undefined) throw new Problem('archive/unknown-instance', { sopInstanceUid })
    const file = await this.#open(sopInstanceUid)
    const bytes = await file.read(offset, length)
    this.bytesDone += bytes.length
    if (offset + bytes.length >= sizeBytes) this.instancesDone += 1
    return bytes
  }

  #open(sopInstanceUid: string): Promise<InstanceFile> {
    const known = this.#files.get(sopInstanceUid)
    if (known) return known
    const opened = this.archive.open(sopInstanceUid)
    this.#files.set(sopInstanceUid, opened)
    opened.catch(() => this.#files.delete(sopInstanceUid)) // the error reaches whoever awaits `opened`
    if (this.#files.size > OPEN_FILES) for (const oldest of this.#files.keys()) return (this.#files.delete(oldest), opened)
    return opened
  }
}
