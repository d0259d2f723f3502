import { Buffer } from 'node:buffer'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { Problem, type LeftOut, type LeftOutReason } from 'specs'
import type { InstanceRow } from '../archive/archive.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import type { StudyAccess } from '../dicomweb/study-source.ts'
import { countLeftOut, decideInstance, factsOf, type Asked } from './plan.ts'

const unzip = promisify(gunzip)

/** Which part of a study is asked for. */
export interface Selection extends Asked {
  readonly seriesInstanceUids?: readonly string[] | undefined
  readonly sopInstanceUids?: readonly string[] | undefined
}

/** An instance that leaves, with the place it gets: nothing in a path tells whose it is. */
export interface Leaving {
  readonly row: InstanceRow
  /** S001-CT/00001 */
  readonly place: string
  readonly frames: number
}

export interface StayingBehind {
  /** The place it would have had. */
  readonly label: string
  readonly reason: LeftOutReason
}

export interface Contents {
  readonly leaving: readonly Leaving[]
  readonly staying: readonly StayingBehind[]
  readonly leftOut: readonly LeftOut[]
  readonly sizeBytes: number
  /** Files, or pictures. */
  readonly count: number
}

export interface ContentLimits {
  readonly maxBytes: number
  readonly maxPictures: number
}

/**
 * What of a study leaves, in the order of series and images.
 * @throws {Problem} export/too-large
 */
export async function contentsOf(study: StudyAccess, selection: Selection, limits: ContentLimits): Promise<Contents> {
  const leaving: Leaving[] = []
  const staying: StayingBehind[] = []
  const series = [...(await study.seriesList())].sort((a, b) => byNumber(a.seriesNumber, b.seriesNumber) || a.seriesInstanceUid.localeCompare(b.seriesInstanceUid))
  for (const [at, { seriesInstanceUid, modality }] of series.entries()) {
    if (selection.seriesInstanceUids && !selection.seriesInstanceUids.includes(seriesInstanceUid)) continue
    const headers = await headersOf(study, seriesInstanceUid)
    const rows = (await study.instanceList(seriesInstanceUid)).filter(({ sopInstanceUid }) => selection.sopInstanceUids?.includes(sopInstanceUid) ?? true)
    rows.sort((a, b) => byNumber(a.instanceNumber, b.instanceNumber) || a.sopInstanceUid.localeCompare(b.sopInstanceUid))
    for (const [index, row] of rows.entries()) {
      const header = headers.get(row.sopInstanceUid)
      const decision = header === undefined ? 'unreadable' : decideInstance(factsOf(header, row), selection)
      const place = `S${String(at + 1).padStart(3, '0')}-${/^[A-Z]{2,8}$/.test(modality) ? modality : 'XX'}/${String(index + 1).padStart(5, '0')}`
      if (decision === 'leaves') leaving.push({ row, place, frames: Math.max(1, row.numberOfFrames ?? 1) })
      else staying.push({ label: place, reason: decision })
    }
  }
  const sizeBytes = leaving.reduce((sum, { row }) => sum + row.sizeBytes, 0)
  const pictures = selection.format === 'dicom' ? 0 : leaving.reduce((sum, { frames }) => sum + frames, 0)
  if (sizeBytes > limits.maxBytes) throw new Problem('export/too-large', { sizeBytes, limitBytes: limits.maxBytes })
  if (pictures > limits.maxPictures) throw new Problem('export/too-large', { pictures, limitPictures: limits.maxPictures })
  return { leaving, staying, leftOut: countLeftOut(staying.map(({ reason }) => reason)), sizeBytes, count: selection.format === 'dicom' ? leaving.length : pictures }
}

async function headersOf(study: StudyAccess, seriesInstanceUid: string): Promise<Map<string, JsonDataset>> {
  const headers = JSON.parse(String(await unzip(Buffer.from(await study.metadata(seriesInstanceUid))))) as JsonDataset[]
  return new Map(headers.map((header) => [String(header['00080018']?.Value?.[0] ?? ''), header]))
}

const byNumber = (a: string, b: string): number => (Number(a) || 0) - (Number(b) || 0)
