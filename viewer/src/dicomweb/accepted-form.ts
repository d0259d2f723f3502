import { text, type Dataset } from './dataset.ts'

/** (0008,3002): in which syntax the archive keeps the frames. */
const availableTransferSyntax = '00083002'
/**
 * JPEG of 12 bits: the loader's decoder gives other greys than those of DCMTK and GDCM, so the archive decodes these.
 * PS3.5 A.4.1: processes 2 & 4, 6 & 8, 10 & 12.
 */
const decodedByArchive: ReadonlySet<string> = new Set(['51', '53', '55'].map((last) => `1.2.840.10008.1.2.4.${last}`))

/** What to accept for the frames of an image; undefined: as they are stored. */
export function acceptFor(dataset: Dataset | undefined): string | undefined {
  return dataset && decodedByArchive.has(text(dataset, availableTransferSyntax)) ? 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1' : undefined
}
