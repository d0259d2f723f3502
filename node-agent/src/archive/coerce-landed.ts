import { rm } from 'node:fs/promises'
import type { Log } from 'service-kit'
import { HospitalId, RegionId, SeriesInstanceUid, Sm3Hex, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid } from 'specs'
import type { Coercion, IncomingSource, InstanceFile } from './archive.ts'
import { ENCRYPTED } from './encryption/file-form.ts'
import type { LandedInstance } from './incoming.ts'
import { StoredFile, type StoredFiles } from './stored-file.ts'

/** An instance in incoming/, read as a stored one is. */
export function openLanded(files: StoredFiles, landed: LandedInstance): Promise<InstanceFile> {
  const { values, fileId, encrypted, sm3, sizeBytes, transferSyntaxUid, headerBytes, datasetOffset, frameIndex, source } = landed
  return StoredFile.locate(files, {
    // It has no place yet: what is not where its row says is looked for in incoming/.
    path: `incoming/${fileId}.unplaced${encrypted ? ENCRYPTED : ''}`,
    fileId, sizeBytes, headerBytes, datasetOffset,
    frameIndex: JSON.stringify(frameIndex),
    sm3: Sm3Hex.parse(sm3),
    regionId: RegionId.parse('unassigned'),
    hospitalId: source.owner ?? HospitalId.parse('unknown'),
    studyInstanceUid: StudyInstanceUid.parse(values['studyInstanceUid']),
    seriesInstanceUid: SeriesInstanceUid.parse(values['seriesInstanceUid']),
    sopInstanceUid: SopInstanceUid.parse(values['sopInstanceUid']),
    sopClassUid: SopClassUid.parse(values['sopClassUid']),
    transferSyntaxUid: TransferSyntaxUid.parse(transferSyntaxUid),
    instanceNumber: values['instanceNumber'] ?? '',
    rows: null, columns: null, bitsAllocated: null, numberOfFrames: null,
    contentDate: '', contentTime: '', imageType: '',
    receivedAt: Date.now(),
    sourceKind: source.kind,
    sourcePeer: source.peer,
  }) // prettier-ignore
}

/**
 * The instance as rules and corrections want it, in incoming/ instead of what was sent. What cannot be rewritten is kept as it came: a rule must never be the
 * reason why an image is lost.
 */
export async function coerceLanded(
  landed: LandedInstance,
  coercion: Promise<Coercion | undefined>,
  land: (source: IncomingSource, content: AsyncIterable<Uint8Array>) => Promise<LandedInstance>,
  log: Log,
): Promise<LandedInstance> {
  const { values, sm3, source, file } = landed
  try {
    const wanted = await coercion
    if (!wanted) return landed
    const made = await land(source, wanted.content)
    const isSame = (['studyInstanceUid', 'seriesInstanceUid', 'sopInstanceUid', 'sopClassUid'] as const).every((uid) => made.values[uid] === values[uid])
    if (!isSame) {
      await rm(made.file, { force: true })
      throw new Error('a rule changed which instance it is')
    }
    await rm(file, { force: true })
    return { ...made, coerced: { originalSm3: sm3, by: wanted.by, changes: wanted.changes } }
  } catch (error) {
    log.error({ err: error, sopInstanceUid: values['sopInstanceUid'], source }, 'rules not applied: kept as it was sent')
    return landed
  }
}
