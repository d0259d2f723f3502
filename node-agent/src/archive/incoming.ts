import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { open, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { Problem, StudyInstanceUid, type Sm3Hex } from 'specs'
import { DatasetScanner } from '../dicom/dataset-scanner.ts'
import { maxMetaBytes, readFileMeta, writeFileMeta, type ReadMeta } from '../dicom/file-meta.ts'
import { HeaderCapture, requireUid } from '../dicom/header.ts'
import { InflatedScan } from '../dicom/inflated-scan.ts'
import { transferSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { ChangedValue, ExpectedInstance, IncomingForm, IncomingInstance, IncomingSource, Receipt, ToldInstance } from './archive.ts'
import { attributes, type IndexedValues } from './attributes.ts'
import type { FrameIndex } from '../dicom/frame-index.ts'
import { storageProblem } from './storage-problem.ts'
import type { FreeSpace } from './free-space.ts'
import { EncryptedOutput } from './encryption/encrypted-output.ts'
import type { FileEncryption } from './encryption/file-encryption.ts'
import { BLOCK_BYTES, type Block } from './digest/blocks.ts'
import type { ContentDigest, Digests } from './digest/digests.ts'

/** An instance whose bytes are on disk in incoming/, waiting for its rows. */
export interface LandedInstance {
  /** Names its file in incoming/, and there only. */
  readonly fileId: string
  readonly file: string
  readonly encrypted: boolean
  readonly values: IndexedValues
  readonly transferSyntaxUid: string
  readonly sm3: Sm3Hex
  readonly sizeBytes: number
  /** Bytes up to Pixel Data, the whole file without one; what metadata are read from. */
  readonly headerBytes: number
  /** Length of preamble and meta header. */
  readonly datasetOffset: number
  readonly frameIndex: FrameIndex
  readonly source: IncomingSource
  /** What was changed of it before it is registered, and the digest under which its sender knows it (ARC-25). */
  readonly coerced?: { readonly originalSm3: Sm3Hex; readonly by: string; readonly changes: readonly ChangedValue[] }
  /** Settles when nothing has the file open for writing any more. */
  readonly closed?: Promise<void>
}

export interface IncomingSetup {
  readonly folder: string
  readonly space: FreeSpace
  readonly maxInstanceBytes: number
  readonly source: IncomingSource
  readonly form: IncomingForm
  /** With it, the bytes lie encrypted on the disk from the first one on. */
  readonly encryption?: FileEncryption | undefined
  readonly digests: Digests
  /** Makes the landed instance part of the archive. */
  register(landed: LandedInstance): Promise<Receipt>
}

const SOP_CLASS_UID = 0x00080016
const SOP_INSTANCE_UID = 0x00080018
const measureEveryBytes = 64 * 1024 * 1024
/** Group 0008 up to the UIDs is a few hundred bytes in any real dataset. */
const maxBytesBeforeUids = 1024 * 1024

/** Bytes on their way to a file in incoming/: digest, header and frame index are taken while they pass. */
export class Incoming implements IncomingInstance {
  readonly #setup: IncomingSetup
  readonly #fileId: string
  readonly #file: string
  readonly #handle: FileHandle
  readonly #encrypted: EncryptedOutput | undefined
  #sm3: ContentDigest | undefined
  #state: 'open' | 'committing' | 'ended' = 'open'
  #prefix: Uint8Array[] = []
  #prefixBytes = 0
  #meta: ReadMeta | undefined
  #metaBytes: Buffer | undefined
  #syntax: TransferSyntax | undefined
  #capture: HeaderCapture | undefined
  #scan: DatasetScanner | InflatedScan | undefined
  #pending: Uint8Array[] | undefined = []
  #pendingBytes = 0
  #block: Block | undefined
  #blockBytes = 0
  /** The block before is written while the next one is gathered; a failure shows at the next block or at the end. */
  #writing: Promise<void> = Promise.resolve()
  #sizeBytes = 0
  #nextMeasure = measureEveryBytes
  #datasetOffset = 0

  private constructor(setup: IncomingSetup, file: string, fileId: string, handle: FileHandle) {
    this.#setup = setup
    this.#file = file
    this.#fileId = fileId
    this.#handle = handle
    this.#encrypted = setup.encryption && new EncryptedOutput(handle, setup.encryption, fileId)
  }

  /** @throws {Problem} archive/out-of-space, archive/unreadable (unknown transfer syntax), archive/failed */
  static async begin(setup: IncomingSetup): Promise<Incoming> {
    const syntax = setup.form.part10 ? undefined : transferSyntax(setup.form.transferSyntaxUid)
    await setup.space.require()
    const fileId = randomUUID()
    const file = path.join(setup.folder, `${fileId}.part`)
    const handle = await open(file, 'wx', 0o640).catch((error: unknown) => Promise.reject(storageProblem(error)))
    const incoming = new Incoming(setup, file, fileId, handle)
    if (syntax) incoming.#beginDataset(syntax)
    return incoming
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw new Error(`write to an instance that is ${this.#state}`)
    await this.#orDiscard(() => this.#take(chunk))
  }

  async commit(expected: ExpectedInstance = {}, admit?: (told: ToldInstance) => Promise<void>): Promise<Receipt> {
    if (this.#state !== 'open') throw new Error(`commit of an instance that is ${this.#state}`)
    this.#state = 'committing'
    const landed = await this.#orDiscard(async () => {
      const complete = await this.#land(expected)
      const { studyInstanceUid = '', sopClassUid = '', sopInstanceUid = '', modality = '' } = complete.values
      await admit?.({ studyInstanceUid: StudyInstanceUid.parse(studyInstanceUid), sopClassUid, sopInstanceUid, modality })
      await this.#handle.datasync()
      // Its content is on the disk: nobody waits for the descriptor to be given back.
      const closed = this.#handle.close().catch(() => undefined)
      return { ...complete, closed }
    })
    // From here on the file is the commit queue's: it may have rows already when something fails.
    this.#state = 'ended'
    return this.#setup.register(landed)
  }

  async abort(): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#scan = undefined
    this.#sm3?.forget()
    await this.#writing.catch(() => undefined) // its file goes away
    if (this.#block) this.#setup.digests.blocks.giveBack(this.#block)
    this.#block = undefined
    await this.#encrypted?.end().catch(() => undefined) // its file goes away
    await this.#handle.close()
    await rm(this.#file, { force: true })
  }

  async #orDiscard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      await this.abort()
      throw storageProblem(error)
    }
  }

  async #take(chunk: Uint8Array): Promise<void> {
    if (this.#syntax) return this.#dataset(chunk)
    this.#prefix.push(chunk)
    this.#prefixBytes += chunk.byteLength
    await this.#readMeta(false)
  }

  async #readMeta(complete: boolean): Promise<void> {
    const bytes = Buffer.concat(this.#prefix)
    const meta = readFileMeta(bytes, complete || this.#prefixBytes > maxMetaBytes)
    if (!meta) return
    this.#prefix = []
    this.#meta = meta
    this.#metaBytes = bytes.subarray(0, meta.datasetOffset)
    this.#beginDataset(transferSyntax(meta.transferSyntaxUid))
    await this.#dataset(bytes.subarray(meta.datasetOffset))
  }

  #beginDataset(syntax: TransferSyntax): void {
    this.#syntax = syntax
    this.#capture = new HeaderCapture(attributes, syntax)
    this.#scan = syntax.deflated ? new InflatedScan(syntax, this.#capture) : new DatasetScanner(syntax, this.#capture)
  }

  async #dataset(chunk: Uint8Array): Promise<void> {
    await this.#scan?.push(chunk)
    if (!this.#pending) return this.#output(chunk)
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.byteLength
    await this.#beginFile(false)
  }

  /** The meta header names the instance, so it can only be written when the dataset has told which one it is. */
  async #beginFile(complete: boolean): Promise<void> {
    const capture = this.#capture
    if (!capture || !this.#syntax || !this.#pending) return
    const known = capture.has(SOP_CLASS_UID) && capture.has(SOP_INSTANCE_UID)
    const tooLate = complete || capture.reachedGroup > 0x0008 || this.#pendingBytes > maxBytesBeforeUids
    if (!known && !tooLate) return
    const sopClassUid = requireUid(capture.text(SOP_CLASS_UID), 'SOPClassUID')
    const sopInstanceUid = requireUid(capture.text(SOP_INSTANCE_UID), 'SOPInstanceUID')
    const whole = this.#setup.source.kind === 'transfer' || this.#setup.source.kind === 'own'
    const keptMeta = whole && this.#meta?.proper ? this.#metaBytes : undefined
    const head = keptMeta ?? writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid: this.#syntax.uid })
    this.#datasetOffset = head.length
    const pending = this.#pending
    this.#pending = undefined
    for (const part of [head, ...pending]) await this.#output(part)
  }

  async #output(chunk: Uint8Array): Promise<void> {
    if (chunk.byteLength === 0) return
    this.#sizeBytes += chunk.byteLength
    if (this.#sizeBytes > this.#setup.maxInstanceBytes)
      throw new Problem('archive/unreadable', { reason: 'instance too large', limitBytes: this.#setup.maxInstanceBytes })
    for (let at = 0; at < chunk.byteLength; ) {
      this.#block ??= this.#setup.digests.blocks.take()
      const part = chunk.subarray(at, at + BLOCK_BYTES - this.#blockBytes)
      this.#block.bytes.set(part, this.#blockBytes)
      this.#blockBytes += part.byteLength
      at += part.byteLength
      if (this.#blockBytes === BLOCK_BYTES) await this.#flush()
    }
    if (this.#sizeBytes >= this.#nextMeasure) {
      this.#nextMeasure += measureEveryBytes
      await this.#setup.space.require()
    }
  }

  /** Hands the block over to be digested and written; resolves when the one before has been written. */
  async #flush(): Promise<void> {
    const [block, length] = [this.#block, this.#blockBytes]
    if (!block) return
    this.#block = undefined
    this.#blockBytes = 0
    this.#sm3 ??= this.#setup.digests.begin(length)
    const digested = this.#sm3.update(block, length)
    const before = this.#writing
    this.#writing = before.then(() => this.#put(block.bytes.subarray(0, length))).finally(() => this.#setup.digests.blocks.giveBack(block))
    this.#writing.catch(() => undefined) // thrown where it is waited for
    await before
    await digested
  }

  async #put(bytes: Buffer): Promise<void> {
    if (this.#encrypted) return this.#encrypted.write([bytes], bytes.length)
    for (let written = 0; written < bytes.length; ) written += (await this.#handle.write(bytes, written)).bytesWritten
  }

  async #land(expected: ExpectedInstance): Promise<LandedInstance> {
    if (!this.#syntax) await this.#readMeta(true)
    const capture = this.#capture
    if (!capture || !this.#syntax || !this.#scan) throw new Problem('archive/unreadable', { reason: 'empty' })
    await this.#scan.end()
    await this.#beginFile(true)
    await this.#flush()
    const digest = (this.#sm3 ?? this.#setup.digests.begin(0)).digest()
    digest.catch(() => undefined) // thrown below
    this.#sm3 = undefined
    await this.#writing
    await this.#encrypted?.end()
    const values: Record<string, string> = {}
    for (const { tag, member } of attributes) values[member] = capture.text(tag)
    for (const [member, what] of uids) requireUid(values[member] ?? '', what)
    const sm3 = await digest
    requireExpected(expected, values, sm3, this.#sizeBytes)
    const base = this.#syntax.deflated ? 0 : this.#datasetOffset
    return {
      fileId: this.#fileId,
      file: this.#file,
      encrypted: this.#encrypted !== undefined,
      values,
      transferSyntaxUid: this.#syntax.uid,
      sm3,
      sizeBytes: this.#sizeBytes,
      headerBytes: capture.headerEnd === undefined || this.#syntax.deflated ? this.#sizeBytes : capture.headerEnd + base,
      datasetOffset: this.#datasetOffset,
      frameIndex: capture.frameIndex(base),
      source: this.#setup.source,
    }
  }
}

const uids = [
  ['studyInstanceUid', 'StudyInstanceUID'],
  ['seriesInstanceUid', 'SeriesInstanceUID'],
] as const

function requireExpected(expected: ExpectedInstance, values: IndexedValues, sm3: string, sizeBytes: number): void {
  for (const name of ['studyInstanceUid', 'sopClassUid', 'sopInstanceUid'] as const) {
    const announced = expected[name]
    if (announced !== undefined && announced !== values[name])
      throw new Problem('archive/uid-mismatch', { what: name, announced, found: values[name] })
  }
  if (expected.sizeBytes !== undefined && expected.sizeBytes !== sizeBytes)
    throw new Problem('transfer/digest-mismatch', { what: 'size', announced: expected.sizeBytes, found: sizeBytes })
  if (expected.sm3 !== undefined && expected.sm3 !== sm3)
    throw new Problem('transfer/digest-mismatch', { what: 'sm3', sopInstanceUid: values.sopInstanceUid })
}
