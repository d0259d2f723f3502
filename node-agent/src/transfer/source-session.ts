import { Buffer } from 'node:buffer'
import { PieceCipher } from 'pki'
import {
  OpenedTransfer,
  parseWith,
  Problem,
  services,
  type HospitalId,
  type Manifest,
  type ManifestRow,
  type PieceRequest,
  type SeriesInstanceUid,
  type SignedAssertion,
  type SignedGrant,
  type StudyInstanceUid,
} from 'specs'
import type { Line } from '../region/line.ts'
import type { TransferPurpose } from './job.ts'
import type { PieceCoder, SessionKeys } from './cipher-thread.ts'
import { openAnswer } from './frames.ts'

export interface OpenSession {
  readonly line: Line
  readonly source: HospitalId
  readonly study: StudyInstanceUid
  readonly grant: SignedGrant
  readonly purpose: TransferPurpose
  readonly timeoutMs: number
  readonly coder: PieceCoder
  /** This hospital's word for whoever asked, if somebody did; good for one call. */
  readonly assertion?: SignedAssertion | undefined
}

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'))

/** Our end of a transfer session: asks pieces and metadata of one study from one source, under the session's keys. */
export class SourceSession {
  readonly manifest: Manifest
  readonly source: HospitalId
  readonly #line: Line
  readonly #timeoutMs: number
  readonly #sessionId: string
  readonly #keys: SessionKeys
  readonly #coder: PieceCoder
  readonly #cipher: PieceCipher
  #counter = 0

  private constructor(open: OpenSession, sessionId: string, keys: SessionKeys, manifest: Manifest) {
    this.#line = open.line
    this.source = open.source
    this.#timeoutMs = open.timeoutMs
    this.#sessionId = sessionId
    this.#keys = keys
    this.#coder = open.coder
    this.#cipher = new PieceCipher(keys.encryptionKey, keys.macKey)
    this.manifest = manifest
  }

  /**
   * Opens the study at `source` and reads its whole manifest.
   * @throws {Problem} what the source refuses with; region/hospital-offline; transfer/bad-request when the manifest is not of this study.
   */
  static async open(open: OpenSession): Promise<SourceSession> {
    const { line, source, study: studyInstanceUid, grant, purpose, timeoutMs, assertion } = open
    const ask = async (more?: { sessionId: string; fromRow: number }) =>
      parseWith(
        OpenedTransfer,
        await line.request(source, services.transferOpen, { studyInstanceUid, grant, purpose, ...(more ? { more } : assertion && { assertion }) }, { timeoutMs }),
        'opened transfer',
      )
    const first = await ask()
    const rows: ManifestRow[] = [...first.manifest.rows]
    while (rows.length < first.totalRows) rows.push(...(await ask({ sessionId: first.sessionId, fromRow: rows.length })).manifest.rows)
    if (first.manifest.studyInstanceUid !== studyInstanceUid || new Set(rows.map((row) => row.sopInstanceUid)).size !== rows.length) {
      throw new Problem('transfer/bad-request', { frame: 'manifest' })
    }
    return SourceSession.of(open, first, { ...first.manifest, rows })
  }

  /** A session that was opened by another message, for what that message named. */
  static of(open: Omit<OpenSession, 'assertion'>, { sessionId, encryptionKey, macKey }: { sessionId: string; encryptionKey: string; macKey: string }, manifest: Manifest): SourceSession {
    return new SourceSession(open, sessionId, { encryptionKey: bytesOf(encryptionKey), macKey: bytesOf(macKey) }, manifest)
  }

  /** @throws {Problem} the source's refusal; transfer/unknown-session, bad-request; region/hospital-offline */
  async piece(row: ManifestRow, offset: number, length: number): Promise<Uint8Array> {
    const request: PieceRequest = {
      sessionId: this.#sessionId,
      counter: ++this.#counter,
      sopInstanceUid: row.sopInstanceUid,
      offset,
      length,
    }
    const frame = this.#cipher.sealFrame('piece-request', Buffer.from(JSON.stringify(request), 'utf8'))
    const answer = await this.#line.requestBytes(this.source, services.transferPiece, frame, { timeoutMs: this.#timeoutMs })
    return this.#coder.open(this.#keys, request, openAnswer(this.#cipher, answer, 'piece'))
  }

  /** gzip of the series' DICOM JSON, see Archive.seriesMetadata. */
  async metadata(seriesInstanceUid: SeriesInstanceUid): Promise<Buffer> {
    const parts: Buffer[] = []
    let received = 0
    for (;;) {
      const request = { sessionId: this.#sessionId, counter: ++this.#counter, seriesInstanceUid, offset: received }
      const frame = this.#cipher.sealFrame('metadata-request', Buffer.from(JSON.stringify(request), 'utf8'))
      const answer = await this.#line.requestBytes(this.source, services.transferMetadata, frame, { timeoutMs: this.#timeoutMs })
      const plain = Buffer.from(this.#cipher.openBlob(frame, openAnswer(this.#cipher, answer, 'metadata')))
      if (plain.length < 4) throw new Problem('transfer/bad-request', { frame: 'metadata' })
      const total = plain.readUInt32BE(0)
      parts.push(plain.subarray(4))
      received += plain.length - 4
      if (received >= total) return Buffer.concat(parts)
      if (plain.length === 4) throw new Problem('transfer/bad-request', { frame: 'metadata' })
    }
  }
}
