import {
  Problem,
  type HospitalId,
  type Manifest,
  type ManifestRow,
  type RegionId,
  type SeriesInstanceUid,
  type SopInstanceUid,
  type StudyInstanceUid,
} from 'specs'
import type { Archive, InstanceFile, InstanceRow, SeriesRow, StudyRow } from '../archive/archive.ts'
import type { StudyAccess } from '../dicomweb/study-source.ts'
import type { TransferEngine } from './engine.ts'
import type { TransferJob } from './job.ts'

/** What is known of a study before any of it is here. */
export type KnownStudy = Pick<
  StudyRow,
  'patientId' | 'patientName' | 'patientSex' | 'patientBirthDate' | 'accessionNumber' | 'studyDate' | 'studyTime' | 'studyDescription'
>

/**
 * A study that is still at its owner, read as if it lay here: metadata comes through the owner's agent, an instance that
 * is asked for is fetched before the others, and everything stays in the regional archive for the next time (AGT-10).
 */
export class RemoteStudyAccess implements StudyAccess {
  readonly studyInstanceUid: StudyInstanceUid
  readonly #archive: Archive
  readonly #engine: TransferEngine
  readonly #job: TransferJob
  readonly #known: KnownStudy
  readonly #here: { hospitalId: HospitalId; regionId: RegionId }

  constructor(of: { job: TransferJob; archive: Archive; engine: TransferEngine; known: KnownStudy }) {
    this.studyInstanceUid = of.job.studyInstanceUid
    this.#job = of.job
    this.#archive = of.archive
    this.#engine = of.engine
    this.#known = of.known
    this.#here = { hospitalId: of.job.owner, regionId: of.job.regionId }
  }

  async study(): Promise<StudyRow> {
    const { rows } = await this.#manifest()
    const held = await this.#archive.study(this.studyInstanceUid)
    const counts = {
      modalitiesInStudy: [...new Set(rows.map((row) => row.modality))],
      sopClassesInStudy: [...new Set(rows.map((row) => row.sopClassUid))],
      seriesCount: new Set(rows.map((row) => row.seriesInstanceUid)).size,
      instanceCount: rows.length,
      sizeBytes: rows.reduce((sum, row) => sum + row.sizeBytes, 0),
    }
    if (held) return { ...held, ...counts }
    const untold = {
      issuerOfPatientId: '',
      patientAge: '',
      studyId: '',
      referringPhysicianName: '',
      institutionName: '',
      bodyPartsExamined: [],
      duplicateCount: 0,
    tier: '',
    campus: '',
    }
    const { startedAt, updatedAt } = this.#job
    return {
      ...untold,
      ...this.#known,
      ...this.#here,
      studyInstanceUid: this.studyInstanceUid,
      ...counts,
      receivedAt: startedAt,
      updatedAt,
    }
  }

  async seriesList(): Promise<readonly SeriesRow[]> {
    const { rows } = await this.#manifest()
    const held = new Map((await this.#archive.series(this.studyInstanceUid)).map((row) => [row.seriesInstanceUid, row]))
    const bySeries = new Map<SeriesInstanceUid, ManifestRow[]>()
    for (const row of rows) bySeries.set(row.seriesInstanceUid, [...(bySeries.get(row.seriesInstanceUid) ?? []), row])
    return [...bySeries].map(([seriesInstanceUid, instances]) => {
      const counts = { instanceCount: instances.length, sizeBytes: instances.reduce((sum, row) => sum + row.sizeBytes, 0) }
      const known = held.get(seriesInstanceUid)
      return known ? { ...known, ...counts } : { ...this.#untoldSeries(seriesInstanceUid, instances[0]?.modality ?? ''), ...counts }
    })
  }

  async instanceList(seriesInstanceUid?: string): Promise<readonly InstanceRow[]> {
    const { rows } = await this.#manifest()
    const held = new Map((await this.#archive.instances(this.studyInstanceUid, seriesInstanceUid)).map((row) => [row.sopInstanceUid, row]))
    return rows
      .filter((row) => seriesInstanceUid === undefined || row.seriesInstanceUid === seriesInstanceUid)
      .map((row) => held.get(row.sopInstanceUid) ?? this.#untoldInstance(row))
  }

  async metadata(seriesInstanceUid: string): Promise<Buffer> {
    const { rows } = await this.#manifest()
    const wanted = rows.filter((row) => row.seriesInstanceUid === seriesInstanceUid)
    const series = wanted[0]?.seriesInstanceUid
    if (series === undefined) throw new Problem('archive/unknown-study', { studyInstanceUid: this.studyInstanceUid, seriesInstanceUid })
    const held = await this.#archive.instances(this.studyInstanceUid, seriesInstanceUid)
    const isWhole = () => this.#archive.seriesMetadata(this.studyInstanceUid, seriesInstanceUid)
    if (held.length >= wanted.length) return isWhole()
    return (await this.#engine.metadata(this.#job.transferId, series)) ?? isWhole()
  }

  async instance(sopInstanceUid: string, signal?: AbortSignal): Promise<InstanceFile> {
    if (await this.#archive.instance(sopInstanceUid)) return this.#archive.open(sopInstanceUid)
    const { rows } = await this.#manifest()
    const row = rows.find((one) => one.sopInstanceUid === sopInstanceUid)
    if (!row) throw new Problem('archive/unknown-instance', { sopInstanceUid })
    await this.#engine.waitFor(this.#job.transferId, row.sopInstanceUid as SopInstanceUid, signal)
    return this.#archive.open(sopInstanceUid)
  }

  /** The list of instances, from the owner if it has never been told. @throws {Problem} region/hospital-offline, access/… */
  async #manifest(): Promise<Manifest> {
    const known = await this.#engine.manifestOf(this.#job)
    if (known) return known
    const session = await this.#engine.watch(this.#job.transferId)
    if (session) return session.manifest
    return {
      studyInstanceUid: this.studyInstanceUid,
      rows: await this.#archive.manifest(this.studyInstanceUid),
      madeAt: this.#job.updatedAt,
    }
  }

  #untoldSeries(seriesInstanceUid: SeriesInstanceUid, modality: string): Omit<SeriesRow, 'instanceCount' | 'sizeBytes'> {
    const untold = {
      seriesNumber: '', seriesDescription: '', seriesDate: '', seriesTime: '', bodyPartExamined: '', laterality: '', protocolName: '', manufacturer: '',
      manufacturerModelName: '', stationName: '', performedProcedureStepStartDate: '', performedProcedureStepStartTime: '',
    } // prettier-ignore
    return {
      ...untold,
      ...this.#here,
      studyInstanceUid: this.studyInstanceUid,
      seriesInstanceUid,
      modality,
      campus: '',
    version: 0,
      updatedAt: this.#job.updatedAt,
    }
  }

  #untoldInstance(row: ManifestRow): InstanceRow {
    const untold = {
      rows: null,
      columns: null,
      bitsAllocated: null,
      numberOfFrames: null,
      contentDate: '',
      contentTime: '',
      imageType: '',
      path: '',
    }
    const { seriesInstanceUid, sopInstanceUid, sopClassUid, transferSyntaxUid, instanceNumber, sizeBytes, sm3 } = row
    const source = { sourceKind: 'transfer', sourcePeer: this.#job.owner, receivedAt: this.#job.updatedAt } as const
    return {
      ...untold,
      ...this.#here,
      ...source,
      studyInstanceUid: this.studyInstanceUid,
      seriesInstanceUid,
      sopInstanceUid,
      sopClassUid,
      transferSyntaxUid,
      instanceNumber,
      sizeBytes,
      sm3,
    }
  }
}
