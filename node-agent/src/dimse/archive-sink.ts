import { type RegionId } from 'specs'
import { type Archive } from '../archive/archive.ts'
import { type StorageSink } from './services.ts'

/**
 * C-STORE into an archive. `regionOf` names the region of an AE that has one of its own (FED-20). The command's UIDs go along, so that a data set which says otherwise is refused (0xA900).
 */
export function archiveSink(
  archive: Pick<Archive, 'receive'>,
  regionOf: (aeTitle: string) => Promise<RegionId | undefined> = async () => undefined,
): StorageSink {
  return {
    async begin({ sopClassUid, sopInstanceUid, transferSyntaxUid, callingAeTitle }) {
      const regionId = await regionOf(callingAeTitle)
      const incoming = await archive.receive({ kind: 'dimse', peer: callingAeTitle, regionId }, { part10: false, transferSyntaxUid })
      return {
        write: (chunk) => incoming.write(chunk),
        commit: async () => {
          await incoming.commit({ sopClassUid, sopInstanceUid })
        },
        abort: () => incoming.abort(),
      }
    },
  }
}
