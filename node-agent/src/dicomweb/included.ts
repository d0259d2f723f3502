import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { tagText } from '../dicom/dictionary.ts'
import type { QidoQuery } from './qido-query.ts'

const unzip = promisify(gunzip)

/** Where the metadata of a row's series lie, and which instance stands for the row. */
export interface Described {
  /** gzip of the JSON array of a series; undefined when the row has none. */
  metadata(): Promise<Buffer | undefined>
  /** The first of the series unless told. */
  readonly sopInstanceUid?: string | undefined
}

/** Whether answering takes more than the index: attributes that lie in the images' headers only. */
export const isBeyondIndex = ({ include }: QidoQuery, level: 'study' | 'series' | 'instance'): boolean =>
  include.tags.length > 0 || (include.all && level === 'instance')

/** Rows of one series follow each other: its metadata are taken apart once. */
export class IncludedAttributes {
  readonly #include: QidoQuery['include']
  #last: { readonly zipped: Buffer; readonly datasets: readonly JsonDataset[] } | undefined

  constructor({ include }: QidoQuery) {
    this.#include = include
  }

  /** The attributes asked for, as far as the images have them. */
  async of({ metadata, sopInstanceUid }: Described): Promise<JsonDataset> {
    const zipped = await metadata()
    if (!zipped) return {}
    if (!this.#last?.zipped.equals(zipped)) this.#last = { zipped, datasets: JSON.parse(String(await unzip(zipped))) as JsonDataset[] }
    const { datasets } = this.#last
    const dataset = sopInstanceUid === undefined ? datasets[0] : datasets.find((each) => each['00080018']?.Value?.[0] === sopInstanceUid)
    if (!dataset || this.#include.all) return dataset ?? {}
    const wanted = new Set(this.#include.tags.map(tagText))
    return Object.fromEntries(Object.entries(dataset).filter(([tag]) => wanted.has(tag)))
  }
}
