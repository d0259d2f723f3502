import { readFile } from 'node:fs/promises'
import dicomParser from 'dicom-parser'

/** Identity of a Part 10 file as its header says, for scripts that send fixtures. */
export async function identityOf(path: string) {
  const bytes = await readFile(path)
  const dataset = dicomParser.parseDicom(bytes, { untilTag: 'x0020000e' })
  const text = (tag: string) => dataset.string(tag) ?? ''
  return { sopClassUid: text('x00080016'), sopInstanceUid: text('x00080018'), transferSyntaxUid: text('x00020010'), studyInstanceUid: text('x0020000d') }
}
