import { number, tags, type Dataset } from '../dicomweb/dataset.ts'

/**
 * Smallest and largest value that a pixel of this image can have after the modality transform, from the header alone;
 * `undefined` where the header cannot tell (modality LUT, floating point, values per frame).
 *
 * @see PS3.3 C.7.6.3.1 (bits stored, representation), C.11.1 (rescale)
 */
export function possibleValues(dataset: Dataset): { readonly lower: number; readonly upper: number } | undefined {
  const bits = number(dataset, tags.bitsStored)
  const told = dataset[tags.modalityLutSequence] ?? dataset[tags.sharedFunctionalGroups] ?? dataset[tags.perFrameFunctionalGroups]
  if (bits === undefined || bits < 1 || bits > 32 || told !== undefined) return undefined
  const signed = number(dataset, tags.pixelRepresentation) === 1
  const [least, most] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
  const [slope, intercept] = [number(dataset, tags.rescaleSlope) ?? 1, number(dataset, tags.rescaleIntercept) ?? 0]
  const ends = [least * slope + intercept, most * slope + intercept] as const
  return { lower: Math.min(...ends), upper: Math.max(...ends) }
}
