import type { Log } from 'service-kit'
import { isProblem, Problem, type RetrieveMethod } from 'specs'
import { findAt, getFrom, moveFrom, type Asked, type QueryRoot, type Retrieved } from '../../dimse/scu-query.ts'
import type { DicomPeer } from '../../dimse/scu.ts'
import type { StorageSink } from '../../dimse/services.ts'
import type { StudyKeys } from './asking.ts'
import type { ListedInstance, Proof, Want } from './completeness.ts'

export interface SourceSettings {
  readonly peer: DicomPeer
  readonly root: QueryRoot
  readonly method: RetrieveMethod
  readonly callingAeTitle: string
  /** C-GET brings objects on our own association; they go here. */
  readonly storage: StorageSink
  readonly addressOf?: (host: string) => Promise<string>
  readonly log: Log
  readonly signal: AbortSignal
}

/** A study as the source lists it. */
export interface ListedStudy {
  readonly studyInstanceUid: string
  readonly patientId: string
  readonly answer: StudyKeys
}

/** An older PACS, or a modality, that is asked and fetched from (主动QR). */
export class Source {
  readonly #settings: SourceSettings

  constructor(settings: SourceSettings) {
    this.#settings = settings
  }

  /** @throws {Problem} dimse/… when the source cannot be asked. */
  async *studies(keys: StudyKeys): AsyncGenerator<ListedStudy> {
    for await (const answer of this.#find('STUDY', keys)) {
      const studyInstanceUid = answer['StudyInstanceUID']
      if (studyInstanceUid) yield { studyInstanceUid, patientId: answer['PatientID'] ?? '', answer }
    }
  }

  /** Whether one of the study's series was made at this station. */
  async isOfStation(study: Pick<ListedStudy, 'studyInstanceUid' | 'patientId'>, stationName: string): Promise<boolean> {
    for await (const answer of this.#find('SERIES', { ...this.#above(study), SeriesInstanceUID: '', StationName: stationName }))
      if ((answer['StationName'] ?? stationName).trim() === stationName) return true
    return false
  }

  /** What the source says that it has of a study; where it does not answer at IMAGE level, the number that it told. */
  async prove(study: Pick<ListedStudy, 'studyInstanceUid' | 'patientId'>, told: number | null): Promise<Proof> {
    const byNumber: Proof = told === null || told === 0 ? { kind: 'none' } : { kind: 'count', instances: told }
    try {
      const series = new Map<string, ListedInstance[]>()
      for await (const answer of this.#find('SERIES', { ...this.#above(study), SeriesInstanceUID: '', Modality: '' }))
        if (answer['SeriesInstanceUID']) series.set(answer['SeriesInstanceUID'], [])
      for (const [seriesInstanceUid, instances] of series)
        for await (const answer of this.#find('IMAGE', { ...this.#above(study), SeriesInstanceUID: seriesInstanceUid, SOPInstanceUID: '', SOPClassUID: '' }))
          if (answer['SOPInstanceUID']) instances.push({ sopInstanceUid: answer['SOPInstanceUID'], sopClassUid: answer['SOPClassUID'] ?? '' })
      const listed = [...series.values()].reduce((sum, { length }) => sum + length, 0)
      return listed === 0 ? byNumber : { kind: 'instances', series }
    } catch (error) {
      if (isProblem(error) && error.code === 'dimse/failed-at-peer') return byNumber // it does not know this level
      throw error
    }
  }

  /** @throws {Problem} when the source cannot be reached or refuses to begin; single failures are for the comparison afterwards. */
  async retrieve(study: Pick<ListedStudy, 'studyInstanceUid' | 'patientId'>, want: Want, sopClassUids: readonly string[]): Promise<Retrieved> {
    const { peer, root, method, callingAeTitle, storage } = this.#settings
    const asked: Asked = { root, level: want.level, keys: { ...this.#above(study), ...keysOf(want) } }
    const retrieved = method === 'move' ? await moveFrom(peer, { ...asked, destinationAeTitle: callingAeTitle }, this.#options()) : await getFrom(peer, { ...asked, ...(sopClassUids.length > 0 && { sopClassUids }) }, storage, this.#options())
    // 0xA801: it does not know our AE title; 0xA9xx, 0xCxxx: it cannot do it at all (PS3.4 C.4.2.1.5).
    if (retrieved.completed === 0 && isRefusal(retrieved.status)) throw new Problem('dimse/failed-at-peer', { status: retrieved.status.toString(16), ...(retrieved.status === 0xa801 && { moveDestination: callingAeTitle }) })
    return retrieved
  }

  #find(level: Asked['level'], keys: StudyKeys) {
    const { peer, root } = this.#settings
    return findAt(peer, { root, level, keys }, this.#options())
  }

  #options() {
    const { callingAeTitle, addressOf, log, signal } = this.#settings
    return { callingAeTitle, log, signal, ...(addressOf && { addressOf }) }
  }

  /** Unique keys of the levels above (PS3.4 C.4.1.2.1): Patient Root wants the patient, too. */
  #above({ studyInstanceUid, patientId }: Pick<ListedStudy, 'studyInstanceUid' | 'patientId'>): StudyKeys {
    return { ...(this.#settings.root === 'patient' && { PatientID: patientId }), StudyInstanceUID: studyInstanceUid }
  }
}

function keysOf(want: Want): StudyKeys {
  if (want.level === 'STUDY') return {}
  if (want.level === 'SERIES') return { SeriesInstanceUID: want.seriesInstanceUid }
  return { SeriesInstanceUID: want.seriesInstanceUid, SOPInstanceUID: want.sopInstanceUids.join('\\') }
}

const isRefusal = (status: number): boolean => status === 0xa801 || status === 0xa900 || status === 0x0122 || status === 0x0124 || (status & 0xf000) === 0xc000
