import type { InstanceFile } from '../archive/archive.ts'
import { JsonBuilder, type JsonDataset } from './dicom-json.ts'
import { scanHeader } from './dataset-stream.ts'
import { transferSyntax } from './transfer-syntax.ts'

/** Where a bulk value is found. An absolute path: it holds behind every host name, and for copies at other hospitals as well. */
export const bulkDataUri = ({ row }: Pick<InstanceFile, 'row'>, path: string): string =>
  `/dicom-web/studies/${row.studyInstanceUid}/series/${row.seriesInstanceUid}/instances/${row.sopInstanceUid}/bulkdata/${path}`

/** The dataset up to Pixel Data as DICOM JSON; binary values of up to `inlineBytes` come inline. */
export async function readHeader(file: InstanceFile, inlineBytes?: number): Promise<JsonDataset> {
  const syntax = transferSyntax(file.transferSyntaxUid)
  const builder = new JsonBuilder(syntax, (path) => bulkDataUri(file, path), inlineBytes)
  await scanHeader(file, builder)
  return builder.root
}

/** What WADO-RS metadata says of one stored instance. */
export async function readMetadata(file: InstanceFile): Promise<JsonDataset> {
  // Tells viewers how the frames are encoded before they ask for them (PS3.3 C.12.1.1, (0008,3002)).
  return { ...(await readHeader(file)), '00083002': { vr: 'UI', Value: [file.transferSyntaxUid] } }
}
