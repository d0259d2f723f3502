import { computed, onScopeDispose, readonly, shallowReadonly, ref, shallowRef } from 'vue'
import type { LiveEvents } from 'page-kit'
import { number, tags, text, type Dataset } from '../dicomweb/dataset.ts'
import type { DicomWeb } from '../dicomweb/client.ts'
import { isKeyObject, readKeyObject } from '../key-image/key-object.ts'
import { contentOfSeries, type SeriesContent } from './display-sets.ts'
import { compareSeries } from './sort.ts'

export interface SeriesEntry {
  readonly seriesInstanceUid: string
  readonly modality: string
  readonly seriesNumber: number | undefined
  readonly description: string
  readonly instanceCount: number
  readonly content: SeriesContent | undefined
  readonly problem: unknown
}

/** How many of the study's instances have come so far, while a transfer runs. */
export interface Arrival {
  readonly done: number
  readonly total: number
}

const RELOAD_MS = 2_500

/**
 * The study as the archive holds it: series at once, their pictures as the metadata comes, the wanted series first. While
 * images still arrive from another hospital the list grows by itself.
 */
export function useStudy(studyInstanceUid: string, wantedSeries: string | undefined, dicomWeb: DicomWeb, live: LiveEvents) {
  const entries = shallowRef<readonly SeriesEntry[]>([])
  const listed = ref(false)
  const problem = shallowRef<unknown>()
  const arrival = shallowRef<Arrival>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let running: Promise<void> | undefined
  let gone = false

  function refresh(): Promise<void> {
    running ??= read().finally(() => (running = undefined))
    return running
  }

  async function read(): Promise<void> {
    try {
      const found = (await dicomWeb.listSeries(studyInstanceUid)).map(entryOf).sort(compareSeries)
      if (gone) return
      const known = new Map(entries.value.map((entry) => [entry.seriesInstanceUid, entry]))
      // A series that has grown is read again; its old pictures stay until then.
      const stale = found.filter(
        (entry) =>
          known.get(entry.seriesInstanceUid)?.instanceCount !== entry.instanceCount || !known.get(entry.seriesInstanceUid)?.content,
      )
      entries.value = found.map((entry) => ({ ...entry, content: known.get(entry.seriesInstanceUid)?.content }))
      ;[listed.value, problem.value] = [true, undefined]
      const wanted = (entry: SeriesEntry): number => (entry.seriesInstanceUid === wantedSeries ? 0 : 1)
      for (const entry of stale.sort((a, b) => wanted(a) - wanted(b))) await readSeries(entry.seriesInstanceUid)
    } catch (error) {
      if (!gone) problem.value = error
    }
  }

  async function readSeries(seriesInstanceUid: string): Promise<void> {
    let change: Pick<SeriesEntry, 'content' | 'problem'>
    try {
      change = { content: contentOfSeries(await dicomWeb.seriesMetadata(studyInstanceUid, seriesInstanceUid)), problem: undefined }
    } catch (error) {
      change = { content: undefined, problem: error }
    }
    if (!gone)
      entries.value = entries.value.map((entry) =>
        entry.seriesInstanceUid === seriesInstanceUid ? { ...entry, ...change, content: change.content ?? entry.content } : entry,
      )
  }

  live.onEvent((event) => {
    if (event.type === 'reconnected') return void refresh()
    if (event.type !== 'transfer' || event.studyInstanceUid !== studyInstanceUid) return
    const complete = event.state === 'complete' || event.instancesDone >= event.instancesTotal
    arrival.value = complete ? undefined : { done: event.instancesDone, total: event.instancesTotal }
    timer ??= setTimeout(
      () => {
        timer = undefined
        void refresh()
      },
      complete ? 0 : RELOAD_MS,
    )
  })
  onScopeDispose(() => {
    gone = true
    clearTimeout(timer)
  })
  void refresh()

  const displaySets = computed(() => entries.value.flatMap((entry) => entry.content?.displaySets ?? []))
  const documents = computed(() => entries.value.flatMap((entry) => entry.content?.documents ?? []))
  return {
    entries: shallowReadonly(entries),
    listed: readonly(listed),
    problem: shallowReadonly(problem),
    arrival: shallowReadonly(arrival),
    displaySets,
    documents,
    keyObjects: computed(() => documents.value.filter(({ dataset }) => isKeyObject(dataset)).map(({ dataset }) => readKeyObject(dataset))),
    /** Series are listed, and every one was read or failed. */
    settled: computed(() => listed.value && entries.value.every((entry) => entry.content || entry.problem)),
    refresh,
    readSeries,
  }
}

export type Study = ReturnType<typeof useStudy>

function entryOf(dataset: Dataset): SeriesEntry {
  return {
    seriesInstanceUid: text(dataset, tags.seriesInstanceUid),
    modality: text(dataset, tags.modality),
    seriesNumber: number(dataset, tags.seriesNumber),
    description: text(dataset, tags.seriesDescription),
    instanceCount: number(dataset, tags.seriesInstances) ?? 0,
    content: undefined,
    problem: undefined,
  }
}
