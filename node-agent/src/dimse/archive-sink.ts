import { type HospitalId, type RegionId } from 'specs'
import { type Archive, type ToldInstance } from '../archive/archive.ts'
import { type OfferedObject, type StorageSink } from './services.ts'

/** What is known of one object beyond what its command says. */
export interface ObjectTerms {
  /** Whose it is, if not our own. */
  readonly owner?: HospitalId | undefined
  /** Asked when the data set has told what it is; what it throws keeps the object out. */
  readonly admit?: ((told: ToldInstance) => Promise<void>) | undefined
}

/**
 * C-STORE into an archive. `regionOf` names the region of an AE that has one of its own (FED-20). The command's UIDs go along, so that a data set which says otherwise is refused (0xA900).
 */
export function archiveSink(
  archive: Pick<Archive, 'receive'>,
  regionOf: (aeTitle: string) => Promise<RegionId | undefined> = async () => undefined,
  termsOf: (object: OfferedObject) => ObjectTerms = () => ({}),
): StorageSink {
  return {
    async begin(object) {
      const { sopClassUid, sopInstanceUid, transferSyntaxUid, callingAeTitle, terms } = object
      const regionId = await regionOf(callingAeTitle)
      const { owner, admit } = termsOf(object)
      const source = { kind: 'dimse', peer: callingAeTitle, regionId, receivingNode: terms?.receivingNode, ...(owner && { owner }) } as const
      const incoming = await archive.receive(source, { part10: false, transferSyntaxUid })
      return {
        write: (chunk) => incoming.write(chunk),
        commit: async () => {
          await incoming.commit({ sopClassUid, sopInstanceUid }, admit)
        },
        abort: () => incoming.abort(),
      }
    },
  }
}
