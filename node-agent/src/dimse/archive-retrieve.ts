import { type ManifestRow } from 'specs'
import { type Archive } from '../archive/archive.ts'
import { type RetrievedInstance, type RetrieveSource } from './retrieval.ts'
import { type Query } from './services.ts'
import { instanceOfArchive, type Transcode } from './stored-instance.ts'

type Retrieved = Pick<Archive, 'studies' | 'study' | 'series' | 'instance' | 'manifest' | 'open'>

/**
 * C-MOVE and C-GET out of an archive (FED-25).
 * @param permitted of these studies, those that the caller may have; all unless told.
 */
export function archiveRetrieve(archive: Retrieved, { permitted, transcode }: { permitted?: (studies: readonly string[], query: Query) => Promise<ReadonlySet<string>>; transcode?: Transcode } = {}): RetrieveSource {
  return {
    async instancesOf(query, signal) {
      const studies = await studiesOf(archive, query)
      const given = permitted ? await permitted(studies, query) : new Set(studies)
      const series = listed(query.keys['SeriesInstanceUID'])
      const instances = listed(query.keys['SOPInstanceUID'])
      const isMeant = (row: ManifestRow) => (!series || series.has(row.seriesInstanceUid)) && (!instances || instances.has(row.sopInstanceUid))
      const found: RetrievedInstance[] = []
      for (const study of studies) {
        if (signal.aborted) break
        if (!given.has(study)) continue
        for (const row of await archive.manifest(study)) if (isMeant(row)) found.push({ ...instanceOfArchive(archive, row, transcode), studyInstanceUid: study })
      }
      return found
    },
  }
}

const listed = (text: string | undefined): ReadonlySet<string> | undefined => (text === undefined ? undefined : new Set(text.split('\\')))

/** The studies in which something that is named may lie, each once. */
async function studiesOf(archive: Retrieved, { keys, terms }: Query): Promise<string[]> {
  const { PatientID: patientId, StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: instance } = keys
  const receivingNode = terms?.receivingNode // whoever calls it is given what came there, and nothing else (FED-19)
  const ofPatient: Readonly<Record<string, string>> = patientId === undefined ? {} : { PatientID: patientId }
  const rows = async (match: Readonly<Record<string, string>>): Promise<string[]> => (await archive.studies({ match, receivingNode })).map(({ studyInstanceUid }) => studyInstanceUid)
  if (study !== undefined) return rows({ ...ofPatient, StudyInstanceUID: study })
  if (series === undefined && instance === undefined) return rows(ofPatient)
  // Relational: the levels above are not named.
  const held = instance !== undefined
    ? await Promise.all(instance.split('\\').map(async (uid) => (await archive.instance(uid))?.studyInstanceUid))
    : (await archive.series(undefined, { match: { SeriesInstanceUID: series ?? '' } })).map(({ studyInstanceUid }) => studyInstanceUid) // prettier-ignore
  const found = [...new Set(held)].filter((uid) => uid !== undefined)
  return (patientId === undefined && receivingNode === undefined) || found.length === 0 ? found : rows({ ...ofPatient, StudyInstanceUID: found.join('\\') })
}
