import { Problem } from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { StudyAccess } from './study-source.ts'

/** A study in one of our own archives. @throws {Problem} archive/unknown-study */
export async function archiveStudyAccess(archive: Archive, studyInstanceUid: string): Promise<StudyAccess> {
  const found = await archive.study(studyInstanceUid)
  if (!found) throw new Problem('archive/unknown-study', { studyInstanceUid })
  return {
    studyInstanceUid,
    study: async () => (await archive.study(studyInstanceUid)) ?? found,
    seriesList: () => archive.series(studyInstanceUid),
    instanceList: (seriesInstanceUid) => archive.instances(studyInstanceUid, seriesInstanceUid),
    metadata: (seriesInstanceUid) => archive.seriesMetadata(studyInstanceUid, seriesInstanceUid),
    async instance(sopInstanceUid) {
      const file = await archive.open(sopInstanceUid)
      // Asked for below another study: whoever may see that one may not see this one.
      if (file.row.studyInstanceUid !== studyInstanceUid) throw new Problem('archive/unknown-instance', { sopInstanceUid })
      return file
    },
  }
}
