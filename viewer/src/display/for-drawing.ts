import { tags, type Dataset, type Element } from '../dicomweb/dataset.ts'
import { withPalette } from '../dicomweb/palette.ts'
import { proportionsOf } from '../measure/spacing.ts'
import { windowsOf } from './window-presets.ts'

/**
 * A copy of the dataset as Cornerstone must see it to draw the picture right: palettes as numbers, the pixels' proportions
 * as Pixel Spacing (it knows no other element for them), and only windows that belong to the picture. Lengths are never
 * taken from this copy.
 */
export function forDrawing(dataset: Dataset): Dataset {
  const proportions = proportionsOf(dataset)
  const windows = windowsOf(dataset).map(({ window }) => window)
  return {
    ...withPalette(dataset),
    ...(proportions && { [tags.pixelSpacing]: decimals(proportions.rowMm, proportions.columnMm) }),
    [tags.windowCenter]: windows.length > 0 ? decimals(...windows.map(({ center }) => center)) : undefined,
    [tags.windowWidth]: windows.length > 0 ? decimals(...windows.map(({ width }) => width)) : undefined,
  }
}

const decimals = (...values: number[]): Element => ({ vr: 'DS', Value: values })
