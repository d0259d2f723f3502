import { ManifestRow } from 'specs'

/** A row of a manifest for tests: instance `number` of one series. */
export const aManifestRow = (number: number, sizeBytes: number): ManifestRow =>
  ManifestRow.parse({
    seriesInstanceUid: '1.2.3.1.1',
    sopInstanceUid: `1.2.3.1.1.${number}`,
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    transferSyntaxUid: '1.2.840.10008.1.2.1',
    instanceNumber: String(number),
    modality: 'CT',
    sizeBytes,
    sm3: String(number).padStart(64, '0'),
  })
