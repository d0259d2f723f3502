import type { ApiClient } from 'page-kit'

/** A series as a tile shows it. */
export interface SeriesTile {
  readonly uid: string
  readonly modality: string
  readonly number: string
  readonly description: string
  readonly instances: number
  readonly thumbnail: string
  readonly hasPixels: boolean
}

type DicomJson = Readonly<Record<string, { readonly Value?: readonly (string | number)[] } | undefined>>
/** Documents and marks, of which there is no picture. */
const pictureless = new Set(['SR', 'KO', 'PR', 'SEG', 'RTSTRUCT', 'RTPLAN', 'REG', 'DOC'])

/** QIDO-RS, series of a study in the order of their numbers. */
export async function readSeries(api: Pick<ApiClient, 'get'>, study: string): Promise<SeriesTile[]> {
  const rows = (await api.get<readonly DicomJson[] | undefined>(`/dicom-web/studies/${study}/series`)) ?? []
  return rows.map((row) => tileOf(study, row)).sort((a, b) => Number(a.number || 1e9) - Number(b.number || 1e9))
}

export function tileOf(study: string, row: DicomJson): SeriesTile {
  const text = (tag: string) => String(row[tag]?.Value?.[0] ?? '')
  const [uid, modality] = [text('0020000E'), text('00080060')]
  return { uid, modality, number: text('00200011'), description: text('0008103E'), instances: Number(text('00201209') || 0), thumbnail: `/dicom-web/studies/${study}/series/${uid}/thumbnail`, hasPixels: !pictureless.has(modality) }
}
