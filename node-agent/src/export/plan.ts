import type { ExportFormat, ExportLevel, LeftOut, LeftOutReason } from 'specs'
import type { InstanceRow } from '../archive/archive.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'

/** As much of an instance as decides whether it may leave. */
export interface InstanceFacts {
  readonly modality: string
  readonly sopClassUid: string
  readonly burnedIn: boolean
  readonly features: boolean
  /** Made from a screen, a film or a document (PS3.3 C.8.6.1). */
  readonly captured: boolean
  readonly screen: boolean
  /** An overlay without data of its own: it lies in unused bits of the pixels. */
  readonly drawnInPixels: boolean
  readonly hasPixels: boolean
}

export interface Asked {
  readonly level: ExportLevel
  readonly format: ExportFormat
  readonly includeShown: boolean
}

/** Modalities whose devices write the name into the picture, or photograph persons and papers. */
const shownModalities = new Set(['US', 'IVUS', 'XC', 'ES', 'OT', 'SC', 'GM', 'SM', 'DOC', 'ECG', 'EPS', 'HD', 'OP', 'OPT', 'IO', 'PX', 'DF', 'BMD', 'BDUS'])
/** SOP classes of the same kinds: secondary capture, ultrasound, visible light, video, RT images drawn by software. */
const shownClasses = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.(?:7(?:\.\d)?|3|3\.1|6|6\.\d|77\.1\..*|78\..*)$/

export function factsOf(header: JsonDataset, row: Pick<InstanceRow, 'sopClassUid'>): InstanceFacts {
  const text = (tag: string) => (header[tag]?.Value ?? []).map((value) => (typeof value === 'string' ? value.toUpperCase() : '')).join('\\')
  const overlays = Object.keys(header).filter((tag) => /^60[0-9A-F]{2}0010$/.test(tag))
  return {
    modality: text('00080060'),
    sopClassUid: row.sopClassUid,
    burnedIn: text('00280301') === 'YES',
    features: text('00280302') === 'YES',
    captured: text('00080064') !== '',
    screen: /SCREEN|CAPTURE|LABEL|OVERVIEW/.test(text('00080008')),
    drawnInPixels: overlays.some((tag) => !(`${tag.slice(0, 4)}3000` in header)),
    hasPixels: ['7FE00010', '7FE00008', '7FE00009'].some((tag) => tag in header),
  }
}

/**
 * Whether an instance leaves. With every name hidden, what may show one stays behind unless it is asked for; what is nothing but text never
 * leaves pseudonymous, because nobody can say what a text tells.
 */
export function decideInstance(facts: InstanceFacts, { level, format, includeShown }: Asked): 'leaves' | LeftOutReason {
  if (!facts.hasPixels) {
    if (format !== 'dicom') return 'not-renderable'
    return level === 'L0' || (level === 'L1' && includeShown) ? 'leaves' : 'document'
  }
  if (level === 'L0' || includeShown) return 'leaves'
  if (facts.burnedIn) return 'burned-in'
  // What a device says of itself (NO) is not enough: many write it without looking.
  if (shownModalities.has(facts.modality) || shownClasses.test(facts.sopClassUid) || facts.captured || facts.screen) return 'kind'
  if (facts.drawnInPixels) return 'overlay'
  return facts.features ? 'features' : 'leaves'
}

/** How many stay behind for which reason, the most first. */
export function countLeftOut(reasons: readonly LeftOutReason[]): LeftOut[] {
  const counts = new Map<LeftOutReason, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return [...counts].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count)
}
