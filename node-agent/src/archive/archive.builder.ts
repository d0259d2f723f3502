import { Buffer } from 'node:buffer'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, createMetrics, kekSourceOf, openDatabase, Vault, type Database } from 'service-kit'
import { HospitalId, RegionId } from 'specs'
import { buildFile, type BuildOptions, type BuiltDataset } from '../dicom/dataset.builder.ts'
import { FileEncryption } from './encryption/file-encryption.ts'
import { openArchive, type Archive, type ArchiveOptions, type ExpectedInstance, type IncomingSource, type Receipt } from './archive.ts'

/** An archive in a folder of its own, for tests. */
export interface TestArchive {
  readonly archive: Archive
  readonly db: Database
  readonly folder: string
  readonly root: string
  readonly encryption: FileEncryption
  /** Closes and opens again on the same folder, as after a restart. */
  reopen(options?: Partial<ArchiveOptions>): Promise<TestArchive>
  close(): Promise<void>
}

export async function testArchive(options: Partial<ArchiveOptions> = {}, folder?: string): Promise<TestArchive> {
  const home = folder ?? (await mkdtemp(path.join(tmpdir(), 'lianpian-archive-')))
  const db = options.db ?? (await openDatabase({ dialect: 'sqlite', file: path.join(home, 'index.sqlite') }))
  const root = path.join(home, 'files')
  const log = createLog({ name: 'test', level: 'silent' })
  const vault = await Vault.open({ db, kek: kekSourceOf({ keyFile: path.join(home, 'vault.kek') }) })
  const encryption = options.encryption ?? new FileEncryption({ vault, log })
  const archive = await openArchive({
    name: 'in-hospital',
    db,
    root,
    minFreeBytes: 0,
    log,
    metrics: createMetrics(),
    regionId: () => RegionId.parse('yunling'),
    hospitalId: HospitalId.parse('hospital-a'),
    registrationRetryMs: 10,
    encryption,
    ...options,
  })
  const stop = async () => {
    await archive.close()
    await encryption.close()
    vault.close()
    await db.close()
  }
  return {
    archive,
    db,
    folder: home,
    root,
    encryption,
    async reopen(changed = {}) {
      await stop()
      return testArchive({ ...options, ...changed }, home)
    },
    async close() {
      await stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** One CT slice of a made-up patient, 2×2 pixels; `changes` says what matters to the test. */
export function aSlice(changes: BuiltDataset = {}): BuiltDataset {
  return {
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
    SOPInstanceUID: '2.25.301',
    StudyInstanceUID: '2.25.1',
    SeriesInstanceUID: '2.25.11',
    StudyDate: '20260301',
    StudyTime: '101500',
    Modality: 'CT',
    AccessionNumber: 'A1',
    PatientName: 'Zhang^San=张^三',
    PatientID: 'P1',
    PatientBirthDate: '19700101',
    PatientSex: 'M',
    StudyDescription: '胸部平扫',
    SeriesNumber: '1',
    InstanceNumber: '1',
    BodyPartExamined: 'CHEST',
    SamplesPerPixel: 1,
    PhotometricInterpretation: 'MONOCHROME2',
    Rows: 2,
    Columns: 2,
    BitsAllocated: 16,
    BitsStored: 16,
    HighBit: 15,
    PixelRepresentation: 0,
    PixelData: Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]),
    ...changes,
  }
}

/** Offers a file in chunks of `chunkBytes`, as a slow sender would. */
export async function send(
  archive: Archive,
  file: Uint8Array,
  options: { source?: IncomingSource; expected?: ExpectedInstance; chunkBytes?: number } = {},
): Promise<Receipt> {
  const incoming = await archive.receive(options.source ?? { kind: 'import', peer: 'test' }, { part10: true })
  const step = options.chunkBytes ?? 64 * 1024
  for (let at = 0; at < file.length; at += step) await incoming.write(file.subarray(at, at + step))
  return incoming.commit(options.expected)
}

export const sendSlice = (archive: Archive, changes: BuiltDataset = {}, options: BuildOptions = {}): Promise<Receipt> =>
  send(archive, buildFile(aSlice(changes), options))
