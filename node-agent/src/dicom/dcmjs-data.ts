import dcmjs from 'dcmjs'

type Dataset = Record<string, unknown>

/** The parts of dcmjs that we use: its dictionary, and its writer for documents we make ourselves. Stored data never pass through it. */
interface DcmjsData {
  readonly DicomMetaDictionary: {
    /** PS3.6 by `(gggg,eeee)`. */
    readonly dictionary: Readonly<Record<string, { readonly vr: string; readonly name: string } | undefined>>
    readonly nameMap: Readonly<Record<string, { readonly tag: string } | undefined>>
    denaturalizeDataset(dataset: Dataset): Dataset
  }
  readonly DicomDict: new (meta: Dataset) => { dict: Dataset; write(): ArrayBuffer }
}

// Node's compiler finds no types and Deno's guesses some from the source: by way of unknown both agree.
const untyped: unknown = dcmjs
export const { DicomMetaDictionary, DicomDict } = (untyped as { readonly data: DcmjsData }).data
