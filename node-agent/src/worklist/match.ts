import { parsePredicate, predicateHolds, type Predicate } from '../archive/predicate.ts'
import { SPECIFIC_CHARACTER_SET, type DataElement, type DataItem } from '../dicom/data-set.ts'
import { tagOf } from '../dicom/dictionary.ts'

/**
 * Matching of worklist items against an identifier (PS3.4 K.4.1.1, C.2.2.2): every element with a value is a key, those inside a sequence
 * are to be met by one and the same item of it.
 */
export interface WorklistKeys {
  readonly keys: readonly Key[]
  /** Keys with a value that no item of ours has: they match everything, and the device is told so (0xFF01). */
  readonly unsupported: boolean
}

type Key = { readonly tag: number; readonly predicate: Predicate } | { readonly tag: number; readonly within: readonly Key[] } | { readonly date: number; readonly time: number; readonly predicate: Predicate }

const tag = (keyword: string): number => {
  const found = tagOf(keyword)
  if (found === undefined) throw new Error(`${keyword} is not in the dictionary`)
  return found
}
/** Dates with their times: both given, they mean one span (PS3.4 K.6.1.2.2, note to (0040,0002)). */
const moments = [{ date: tag('ScheduledProcedureStepStartDate'), time: tag('ScheduledProcedureStepStartTime') }]

/** @param like an item of ours with every element that it may have: what it does not know is no key. */
export function keysOf(identifier: DataItem, like: DataItem): WorklistKeys {
  const keys: Key[] = []
  let unsupported = false
  const paired = new Set<number>()
  for (const { date, time } of moments) {
    const [days, hours] = [textOf(identifier, date), textOf(identifier, time)]
    if (days === '' || hours === '') continue
    keys.push({ date, time, predicate: momentRange(days, hours) })
    paired.add(date).add(time)
  }
  for (const element of identifier) {
    const known = like.find((each) => each.tag === element.tag)
    if (element.items) {
      const [asked] = element.items
      if (!asked || asked.length === 0) continue
      const inner = keysOf(asked, known?.items?.[0] ?? [])
      unsupported ||= inner.unsupported
      if (inner.keys.length > 0) keys.push({ tag: element.tag, within: inner.keys })
      continue
    }
    if (!element.text || element.tag === SPECIFIC_CHARACTER_SET || paired.has(element.tag)) continue
    if (known) keys.push({ tag: element.tag, predicate: parsePredicate(known.vr, element.text) })
    else unsupported = true
  }
  return { keys, unsupported }
}

export function matches(item: DataItem, keys: readonly Key[]): boolean {
  return keys.every((key) => {
    if ('date' in key) return predicateHolds(key.predicate, momentOf(textOf(item, key.date), textOf(item, key.time)))
    const element = item.find((each) => each.tag === key.tag)
    if ('within' in key) return (element?.items ?? []).some((each) => matches(each, key.within))
    return predicateHolds(key.predicate, element?.text ?? '')
  })
}

const textOf = (item: DataItem, wanted: number): string => item.find((element) => element.tag === wanted)?.text?.trim() ?? ''
const momentOf = (date: string, time: string): string => (date === '' ? '' : date + time)

/** `20261122-20261123` with `2200-0600` is from 22:00 of the first day to 06:00 of the last. */
function momentRange(days: string, hours: string): Predicate {
  const [day, hour] = [parsePredicate('DA', days), parsePredicate('TM', hours)]
  if (day.kind !== 'range' || hour.kind !== 'range') return { kind: 'any' }
  const last = day.to.replace(/~$/, '')
  return { kind: 'range', from: day.from === '' ? '' : day.from + hour.from, to: last === '' ? '' : hour.to === '' ? day.to : last + hour.to }
}

/**
 * Of an item, what was asked for: the elements of the identifier, in sequences likewise; an empty sequence, or one with an empty item, asks
 * for all of it (PS3.4 C.2.2.2.6). What we do not have is answered empty.
 */
export function answerTo(identifier: DataItem, item: DataItem): DataItem {
  return identifier.map((asked): DataElement => {
    const known = item.find((each) => each.tag === asked.tag)
    if (!known) return asked.items ? { ...asked, items: [] } : { ...asked, text: '' }
    if (!known.items) return known
    const [inner] = asked.items ?? []
    return inner && inner.length > 0 ? { ...known, items: known.items.map((each) => answerTo(inner, each)) } : known
  })
}
