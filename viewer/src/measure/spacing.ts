import { items, number, numbers, tags, text, type Dataset } from '../dicomweb/dataset.ts'

/** Rows × columns of an image with millimetres, and what the millimetres mean. */
export interface SpacingMm {
  /** Distance between the centres of two rows. */
  readonly rowMm: number
  /** Distance between the centres of two columns. */
  readonly columnMm: number
}

/**
 * Which millimetres an image offers, most trustworthy first:
 * `patient` in the patient (tomography, or calibrated projection); `estimated` at the detector, divided by the estimated
 * magnification; `detector` at the detector, where objects appear magnified; `region` in parts of an ultrasound picture; `none`.
 */
export type Spacing =
  | ({ readonly kind: 'patient' } & SpacingMm)
  | ({ readonly kind: 'estimated' } & SpacingMm)
  | ({ readonly kind: 'detector' } & SpacingMm)
  | { readonly kind: 'region'; readonly regions: readonly Region[] }
  | { readonly kind: 'none' }

/** Part of an ultrasound picture with its own scale (PS3.3 C.8.5.5), in pixels, edges included. */
export interface Region extends SpacingMm {
  readonly minX: number
  readonly minY: number
  readonly maxX: number
  readonly maxY: number
}

/** Projection images: Pixel Spacing there is only as good as its calibration (PS3.3 10.7.1.3). */
const projection = new Set(['CR', 'DX', 'MG', 'XA', 'RF', 'IO', 'PX', 'RG'])

/**
 * Chooses the spacing of one frame.
 *
 * @param dataset DICOM JSON of the instance.
 * @param frame Number of the frame, from 1.
 * @see PS3.3 10.7.1 (basic pixel spacing calibration), C.7.6.16.2.1 (pixel measures of multi-frame images)
 */
export function chooseSpacing(dataset: Dataset, frame = 1): Spacing {
  const regions = regionsOf(dataset)
  if (regions.length > 0) return { kind: 'region', regions }
  const own = spacingIn(dataset, tags.pixelSpacing) ?? pixelMeasures(dataset, frame)
  const detector = spacingIn(dataset, tags.imagerPixelSpacing) ?? spacingIn(dataset, tags.nominalScannedPixelSpacing)
  const isProjection = projection.has(text(dataset, tags.modality))
  if (own && !(isProjection && detector)) return { kind: isProjection && !isCalibrated(dataset) ? 'detector' : 'patient', ...own }
  if (own && detector && (isCalibrated(dataset) || !same(own, detector))) return { kind: 'patient', ...own }
  if (!detector) return { kind: 'none' }
  const magnification = number(dataset, tags.magnificationFactor)
  if (magnification === undefined || magnification < 1) return { kind: 'detector', ...detector }
  return { kind: 'estimated', rowMm: detector.rowMm / magnification, columnMm: detector.columnMm / magnification }
}

/** Spacing that a scale bar may use for the whole picture; regions differ, so they give none. */
export function wholeImageSpacing(spacing: Spacing): SpacingMm | undefined {
  return spacing.kind === 'none' || spacing.kind === 'region' ? undefined : spacing
}

function isCalibrated(dataset: Dataset): boolean {
  return text(dataset, tags.pixelSpacingCalibrationType) !== ''
}

function spacingIn(dataset: Dataset, tag: string): SpacingMm | undefined {
  const [rowMm, columnMm] = numbers(dataset, tag, 2) ?? []
  return rowMm !== undefined && columnMm !== undefined && rowMm > 0 && columnMm > 0 ? { rowMm, columnMm } : undefined
}

function pixelMeasures(dataset: Dataset, frame: number): SpacingMm | undefined {
  const perFrame = items(dataset, tags.perFrameFunctionalGroups)[frame - 1]
  const groups = [perFrame, items(dataset, tags.sharedFunctionalGroups)[0]]
  for (const group of groups) {
    const measures = group && items(group, tags.pixelMeasures)[0]
    const spacing = measures && spacingIn(measures, tags.pixelSpacing)
    if (spacing) return spacing
  }
  return undefined
}

/**
 * Spacing that only gives the picture its proportions on the screen, in any unit; `undefined` where pixels are square.
 *
 * @see PS3.3 C.7.6.3.1.7: Pixel Aspect Ratio is height : width of a pixel, and stands where no spacing does.
 */
export function proportionsOf(dataset: Dataset): SpacingMm | undefined {
  const [height, width] = numbers(dataset, tags.pixelAspectRatio, 2) ?? []
  const stated = height !== undefined && width !== undefined && height > 0 && width > 0 ? { rowMm: height / width, columnMm: 1 } : undefined
  return (
    spacingIn(dataset, tags.pixelSpacing) ??
    spacingIn(dataset, tags.imagerPixelSpacing) ??
    spacingIn(dataset, tags.nominalScannedPixelSpacing) ??
    stated
  )
}

const CENTIMETRES = 3 // PS3.3 C.8.5.5.1.15
const TISSUE_2D = 1 // PS3.3 C.8.5.5.1.1

/**
 * Calibrated tissue regions. One that reaches past the picture was written for another size of it (an archive or a
 * converter has scaled the pixels and forgotten the regions), so its millimetres are wrong and it is left out.
 */
function regionsOf(dataset: Dataset): readonly Region[] {
  const found: Region[] = []
  const [columns, rows] = [number(dataset, tags.columns) ?? Infinity, number(dataset, tags.rows) ?? Infinity]
  for (const item of items(dataset, tags.ultrasoundRegions)) {
    const plain = number(item, tags.regionSpatialFormat) === TISSUE_2D
    const inCentimetres = number(item, tags.regionUnitsX) === CENTIMETRES && number(item, tags.regionUnitsY) === CENTIMETRES
    const [minX, minY, maxX, maxY] = [
      number(item, tags.regionMinX),
      number(item, tags.regionMinY),
      number(item, tags.regionMaxX),
      number(item, tags.regionMaxY),
    ]
    const [deltaX, deltaY] = [number(item, tags.regionDeltaX), number(item, tags.regionDeltaY)]
    if (!plain || !inCentimetres || !deltaX || !deltaY) continue
    if (minX === undefined || minY === undefined || maxX === undefined || maxY === undefined) continue
    if (maxX > columns || maxY > rows) continue // some devices count the edge itself, hence not >=
    found.push({ minX, minY, maxX, maxY, rowMm: Math.abs(deltaY) * 10, columnMm: Math.abs(deltaX) * 10 })
  }
  return found
}

function same(a: SpacingMm, b: SpacingMm): boolean {
  return Math.abs(a.rowMm - b.rowMm) < 1e-6 && Math.abs(a.columnMm - b.columnMm) < 1e-6
}
